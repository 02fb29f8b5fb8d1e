use super::*;
use proptest::prelude::*;

const REAL: [Encoding; 3] = [Encoding::Gzip, Encoding::Deflate, Encoding::Zstd];

#[test]
fn names_read_back_and_others_are_unknown() {
    for encoding in Encoding::ALL {
        assert_eq!(Encoding::from_name(encoding.name()), Some(encoding));
    }
    assert_eq!(Encoding::from_name("br"), None);
    assert_eq!(Encoding::from_name("GZIP"), None);
}

#[test]
fn a_list_reads_back_and_unknown_names_are_passed_over() {
    for bits in 0..8 {
        let set = EncodingSet(bits);
        assert_eq!(EncodingSet::parse(set.to_header().to_str().unwrap()), set);
        assert!(set.contains(Encoding::Identity));
    }
    assert_eq!(EncodingSet::parse(" gzip ,br, zstd"), [Encoding::Gzip, Encoding::Zstd].into_iter().collect());
    let mut headers = HeaderMap::new();
    headers.append("grpc-accept-encoding", HeaderValue::from_static("gzip"));
    headers.append("grpc-accept-encoding", HeaderValue::from_static("deflate"));
    assert_eq!(EncodingSet::from_headers(&headers), EncodingSet::parse("gzip,deflate"));
}

// Wire checklist line 18.
#[test]
fn an_encoding_the_peer_did_not_list_is_never_chosen() {
    let accept = EncodingSet::parse("identity,gzip");
    assert_eq!(accept.choose(Encoding::Gzip), Encoding::Gzip);
    assert_eq!(accept.choose(Encoding::Zstd), Encoding::Identity);
    assert_eq!(EncodingSet::none().choose(Encoding::Gzip), Encoding::Identity);
}

// Wire checklist line 19.
#[test]
fn the_limit_holds_at_the_byte_before_and_after() {
    for encoding in Encoding::ALL {
        let packed = compress(encoding, &[7; 1000]).unwrap();
        assert_eq!(decompress(encoding, &packed, 1000).unwrap().len(), 1000, "{encoding}");
        assert_eq!(decompress(encoding, &packed, 999), Err(DecompressError::TooLarge), "{encoding}");
        let empty = compress(encoding, b"").unwrap();
        assert_eq!(decompress(encoding, &empty, 0).unwrap(), "", "{encoding}");
    }
}

#[test]
fn the_largest_limit_is_no_limit() {
    for encoding in Encoding::ALL {
        let packed = compress(encoding, &[7; 100_000]).unwrap();
        assert_eq!(decompress(encoding, &packed, usize::MAX).unwrap(), [7; 100_000][..], "{encoding}");
    }
}

#[test]
fn what_comes_out_takes_no_more_memory_than_the_limit() {
    for encoding in REAL {
        let packed = compress(encoding, &[7; 100_000]).unwrap();
        let message = decompress(encoding, &packed, 100_000).unwrap().try_into_mut().unwrap();
        assert!(message.capacity() <= 100_001, "{encoding}: {}", message.capacity());
    }
}

// Wire checklist line 19.
#[test]
fn a_bomb_stops_while_it_inflates() {
    for encoding in REAL {
        let bomb = compress(encoding, &vec![0; 32 << 20]).unwrap();
        assert_eq!(decompress(encoding, &bomb, 4096), Err(DecompressError::TooLarge), "{encoding}");
    }
    // A zstd frame that does not announce its size is stopped too.
    let bomb = zstd::stream::encode_all(io::repeat(0).take(32 << 20), 3).unwrap();
    assert_eq!(decompress(Encoding::Zstd, &bomb, 4096), Err(DecompressError::TooLarge));
}

#[test]
fn a_zstd_frame_with_a_huge_window_is_refused() {
    let mut encoder = zstd::stream::write::Encoder::new(Vec::new(), 3).unwrap();
    encoder.window_log(27).unwrap();
    encoder.write_all(b"small").unwrap();
    encoder.flush().unwrap();
    let frame = encoder.finish().unwrap();
    assert!(matches!(decompress(Encoding::Zstd, &frame, 4096), Err(DecompressError::Corrupt(_))));
}

// Wire checklist line 22.
#[test]
fn a_cut_off_message_is_corrupt_at_every_length() {
    for encoding in REAL {
        let packed = compress(encoding, b"some text, some text, some other text").unwrap();
        for len in 0..packed.len() {
            let result = decompress(encoding, &packed[..len], 4096);
            // No input at all is no frame for gzip and deflate; for zstd it is an empty row of frames.
            if len > 0 || encoding != Encoding::Zstd {
                assert!(matches!(result, Err(DecompressError::Corrupt(_))), "{encoding} {len} {result:?}");
            }
        }
    }
}

#[test]
fn bytes_behind_the_end_are_corrupt() {
    for encoding in REAL {
        let mut packed = compress(encoding, b"hello").unwrap().to_vec();
        packed.extend_from_slice(b"garbage");
        let result = decompress(encoding, &packed, 4096);
        assert!(matches!(result, Err(DecompressError::Corrupt(_))), "{encoding} {result:?}");
    }
}

proptest! {
    // Wire checklist line 19.
    #[test]
    fn every_message_reads_back_by_itself(message in proptest::collection::vec(any::<u8>(), 0..5000)) {
        for encoding in Encoding::ALL {
            let packed = compress(encoding, &message).unwrap();
            prop_assert_eq!(&decompress(encoding, &packed, message.len()).unwrap()[..], &message[..]);
        }
    }

    #[test]
    fn garbage_never_panics(message in any::<Vec<u8>>()) {
        for encoding in REAL {
            let _ = decompress(encoding, &message, 1000);
        }
    }
}
