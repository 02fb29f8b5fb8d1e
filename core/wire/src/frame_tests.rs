use super::*;
use proptest::prelude::*;

fn plain(message: &[u8]) -> Vec<u8> {
    frame(message, false).unwrap().to_vec()
}

fn deframe(limit: usize, encoding: Encoding, wire: &[u8]) -> Result<Vec<Bytes>, Status> {
    let mut deframer = Deframer::new(limit, encoding);
    deframer.push(Bytes::copy_from_slice(wire));
    let messages = std::iter::from_fn(|| deframer.next().transpose()).collect::<Result<Vec<_>, _>>()?;
    deframer.finish()?;
    Ok(messages)
}

fn error(limit: usize, encoding: Encoding, wire: &[u8]) -> (Code, String) {
    let status = deframe(limit, encoding, wire).unwrap_err();
    (status.code(), status.message().to_owned())
}

// Wire checklist line 15.
#[test]
fn an_empty_message_is_five_bytes_and_a_message() {
    assert_eq!(plain(b""), [0; 5]);
    assert_eq!(deframe(0, Encoding::Identity, &[0; 10]).unwrap(), ["", ""]);
}

// Wire checklist line 14.
#[test]
fn a_prefix_may_be_split_anywhere() {
    let wire = [plain(b"one"), plain(b""), plain(b"three")].concat();
    for first in 0..wire.len() {
        for second in first..wire.len() {
            let mut deframer = Deframer::new(10, Encoding::Identity);
            let mut messages = Vec::new();
            for part in [&wire[..first], &wire[first..second], &wire[second..]] {
                deframer.push(Bytes::copy_from_slice(part));
                while let Some(message) = deframer.next().unwrap() {
                    messages.push(message);
                }
            }
            assert_eq!(messages, ["one", "", "three"], "{first} {second}");
            deframer.finish().unwrap();
        }
    }
}

// Wire checklist line 14.
#[test]
fn chunks_pushed_without_a_look_between_keep_their_order() {
    let wire: Vec<u8> = [plain(b"first"), plain(b"second"), plain(b"third")].concat();
    for size in 1..wire.len() {
        let mut deframer = Deframer::new(10, Encoding::Identity);
        for part in wire.chunks(size) {
            deframer.push(Bytes::copy_from_slice(part));
        }
        assert_eq!(deframer.buffered(), wire.len());
        for expected in ["first", "second", "third"] {
            assert_eq!(deframer.next().unwrap().unwrap(), expected);
        }
        assert_eq!(deframer.next().unwrap(), None);
    }
}

#[test]
fn a_message_whole_in_one_chunk_is_not_copied() {
    let wire = Bytes::from([plain(b"hello"), plain(b"world")].concat());
    let mut deframer = Deframer::new(10, Encoding::Identity);
    deframer.push(wire.clone());
    assert_eq!(deframer.next().unwrap().unwrap().as_ptr(), wire[5..].as_ptr());
    assert_eq!(deframer.next().unwrap().unwrap().as_ptr(), wire[15..].as_ptr());
}

#[test]
fn memory_grows_with_what_arrived_and_not_with_what_is_announced() {
    let mut deframer = Deframer::new(usize::MAX, Encoding::Identity);
    deframer.push(Bytes::copy_from_slice(&header(false, u32::MAX as usize).unwrap()));
    assert_eq!(deframer.next().unwrap(), None);
    assert_eq!(deframer.wants_bytes(), u32::MAX as usize);
    for _ in 0..100 {
        deframer.push(Bytes::from_static(&[1; 100]));
        assert_eq!(deframer.next().unwrap(), None);
    }
    assert_eq!(deframer.buffered(), 10_000);
    assert!(deframer.joined.capacity() <= 2 * 10_000, "{}", deframer.joined.capacity());
}

#[test]
fn a_large_message_is_moved_once_when_a_sixteenth_of_it_is_there() {
    let mut deframer = Deframer::new(usize::MAX, Encoding::Identity);
    let chunk = Bytes::from(vec![7; 72 * 1024]);
    let len = 14 * chunk.len();
    deframer.push(Bytes::copy_from_slice(&header(false, len).unwrap()));
    assert_eq!(deframer.next().unwrap(), None);
    let mut places = Vec::new();
    for _ in 0..14 {
        deframer.push(chunk.clone());
        places.push(deframer.joined.as_ptr());
    }
    assert!(places[1..].iter().all(|place| *place == places[1]), "it moved: {places:?}");
    assert!(deframer.joined.capacity() < 2 * len);
    assert_eq!(deframer.next().unwrap().unwrap(), vec![7; len]);
}

// Wire checklist line 16.
#[test]
fn a_compressed_message_without_an_encoding_is_internal() {
    let wire = [1, 0, 0, 0, 1, 9];
    let expected = (Code::Internal, "message is compressed, but no grpc-encoding was agreed".to_owned());
    assert_eq!(error(10, Encoding::Identity, &wire), expected);
}

// Wire checklist line 16.
#[test]
fn a_flag_above_one_is_internal() {
    for flag in [2, 7, 0x80, 255] {
        let (code, message) = error(10, Encoding::Gzip, &[flag, 0, 0, 0, 0]);
        assert_eq!(
            (code, message),
            (Code::Internal, format!("message has the invalid compressed-flag {flag}"))
        );
    }
}

// Wire checklist line 18.
#[test]
fn a_plain_message_may_stand_among_compressed_ones() {
    let packed = compressed_frame(b"packed", Encoding::Gzip).unwrap();
    let wire = [plain(b"plain"), packed.to_vec(), plain(b"")].concat();
    assert_eq!(deframe(10, Encoding::Gzip, &wire).unwrap(), ["plain", "packed", ""]);
    assert_eq!(compressed_frame(b"x", Encoding::Identity).unwrap(), plain(b"x"));
}

// Wire checklist line 20.
#[test]
fn a_message_above_the_limit_is_resource_exhausted_at_its_prefix() {
    assert_eq!(deframe(4, Encoding::Identity, &plain(b"four")).unwrap(), ["four"]);
    let expected = "message of 5 bytes is larger than max_recv_message_bytes (4 bytes)";
    assert_eq!(
        error(4, Encoding::Identity, &[0, 0, 0, 0, 5]),
        (Code::ResourceExhausted, expected.to_owned())
    );
    let (code, _) = error(4 << 20, Encoding::Gzip, &[1, 255, 255, 255, 255]);
    assert_eq!(code, Code::ResourceExhausted);
}

// Wire checklist line 20.
#[test]
fn a_message_to_send_above_four_gigabytes_is_resource_exhausted() {
    assert_eq!(header(true, u32::MAX as usize).unwrap(), [1, 255, 255, 255, 255]);
    assert_eq!(header(false, 0x1_0000_0000).unwrap_err().code(), Code::ResourceExhausted);
}

// Wire checklist line 19.
#[test]
fn the_limit_is_on_the_decompressed_size() {
    // Noise: its compressed form is larger than itself, and still within the limit.
    let noise: Vec<u8> = (0..1000_u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
    for encoding in [Encoding::Gzip, Encoding::Deflate, Encoding::Zstd] {
        let wire = compressed_frame(&noise, encoding).unwrap();
        assert_eq!(deframe(1000, encoding, &wire).unwrap(), [&noise[..]]);
        let (code, message) = error(999, encoding, &compressed_frame(&[0; 1000], encoding).unwrap());
        assert_eq!(code, Code::ResourceExhausted);
        assert!(message.contains("max_recv_message_bytes (999 bytes)"), "{message}");
    }
}

#[test]
fn corrupt_compressed_data_is_internal() {
    let (code, message) = error(10, Encoding::Gzip, &[1, 0, 0, 0, 2, 1, 2]);
    assert_eq!(code, Code::Internal);
    assert!(message.starts_with("gzip message cannot be decompressed: "), "{message}");
}

// Wire checklist line 22.
#[test]
fn a_stream_that_ends_inside_a_message_is_internal() {
    let wire = plain(&[1; 17]);
    let (code, message) = error(100, Encoding::Identity, &wire[..8]);
    assert_eq!((code, message.as_str()), (Code::Internal, "stream ended inside a message: 3 of 17 bytes"));
    let (_, message) = error(100, Encoding::Identity, &wire[..3]);
    assert_eq!(message, "stream ended inside a message: 3 of 5 bytes of its prefix");
    let (_, message) = error(100, Encoding::Identity, &wire[..5]);
    assert_eq!(message, "stream ended inside a message: 0 of 17 bytes");
}

#[test]
fn nothing_comes_out_after_an_error() {
    let mut deframer = Deframer::new(10, Encoding::Identity);
    deframer.push(Bytes::from_static(&[9, 0, 0, 0, 0]));
    assert!(deframer.next().is_err());
    deframer.push(Bytes::from_static(&[0; 5]));
    assert_eq!(deframer.next().unwrap(), None);
    assert_eq!(deframer.buffered(), 0);
}

proptest! {
    #[test]
    fn any_messages_in_any_chunks_come_out_whole(
        messages in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..300), 0..8),
        sizes in proptest::collection::vec((1..400_usize, any::<bool>()), 1..20),
    ) {
        let wire: Vec<u8> = messages.iter().flat_map(|message| plain(message)).collect();
        let mut deframer = Deframer::new(300, Encoding::Identity);
        let (mut rest, mut sizes, mut out) = (&wire[..], sizes.into_iter().cycle(), Vec::new());
        while !rest.is_empty() {
            let (size, look) = sizes.next().unwrap();
            let (part, tail) = rest.split_at(size.min(rest.len()));
            rest = tail;
            deframer.push(Bytes::copy_from_slice(part));
            while look && let Some(message) = deframer.next().unwrap() {
                out.push(message.to_vec());
            }
        }
        while let Some(message) = deframer.next().unwrap() {
            out.push(message.to_vec());
        }
        prop_assert_eq!(out, messages);
        prop_assert!(deframer.finish().is_ok());
    }

    #[test]
    fn garbage_never_panics(bytes in any::<Vec<u8>>()) {
        let _ = deframe(50, Encoding::Zstd, &bytes);
    }
}
