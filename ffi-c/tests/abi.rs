//! The layout of the public structs, as Rust has it, is the one that C programs are compiled with. `symbols.sh` writes
//! what C says to `abi.txt`, and compares it.

use std::collections::BTreeSet;
use std::mem::offset_of;

use spanwire_c::*;

macro_rules! layout {
    ($($name:ident { $($field:ident)* })*) => {
        vec![$(
            format!("{} {}", stringify!($name), size_of::<$name>()),
            $(format!(
                "{}.{} {}",
                stringify!($name),
                stringify!($field).trim_start_matches("r#"),
                offset_of!($name, $field)
            ),)*
        )*]
    };
}

#[test]
fn layout_is_that_of_the_header() {
    let rust = layout! {
        spanwire_bytes { data len flags owner }
        spanwire_buffer { data len flags release context }
        spanwire_metadata_entry { key value value_len }
        spanwire_call_options {
            size timeout_ms metadata metadata_count compression wait_for_ready credit max_recv_message_bytes
            max_send_message_bytes parent
        }
        spanwire_status { code sent attempts message message_len details details_len trailers }
        spanwire_event {
            r#type end tag call server_call message messages message_count metadata status owner
        }
        spanwire_tls_options {
            size ca_file certificate_file key_file ca_pem ca_pem_len certificate_pem certificate_pem_len
            key_pem key_pem_len server_name system_roots danger_accept_any_certificate
            client_certificate_optional more_certificates more_certificate_count
        }
        spanwire_certificate {
            certificate_file key_file certificate_pem certificate_pem_len key_pem key_pem_len
        }
        spanwire_jwt_options {
            size jwks_file issuers issuer_count audiences audience_count algorithms algorithm_count
            required_claims required_claim_count clock_skew_ms danger_accept_plaintext
            jwks_url jwks_ca_file jwks_refresh_interval_ms
            unauthenticated_methods unauthenticated_method_count danger_jwks_over_plaintext
        }
        spanwire_channel_options {
            size tls authority user_agent compression keepalive_without_calls connect_timeout_ms
            backoff_first_ms backoff_longest_ms keepalive_interval_ms keepalive_timeout_ms
            max_recv_message_bytes max_send_message_bytes max_metadata_bytes max_metadata_fields
            stream_window_bytes max_stream_window_bytes connection_window_bytes send_buffer_bytes
            flood_resets_burst flood_resets_per_second flood_settings_burst flood_settings_per_second
            flood_max_settings_entries flood_control_frames_burst flood_control_frames_per_second
            flood_max_continuations flood_max_pending_acks flood_small_data_budget
            load_balancing service_config bearer_token bearer_token_file name_ttl_ms idle_timeout_ms
            arguments argument_count token_source token_source_data
            proxy retries_off health_checks_off max_connections_per_subchannel
            dns_resolver service_config_from_dns telemetry
        }
        spanwire_channel_argument { name text number }
        spanwire_stat { name value }
        spanwire_engine_options { size lanes }
        spanwire_interceptor { size user_data start event release only only_count }
        spanwire_server_options {
            size tls manual_accept keepalive_permit_without_calls keepalive_interval_ms keepalive_timeout_ms
            keepalive_min_interval_ms max_connection_age_ms max_connection_age_grace_ms max_connection_idle_ms
            handshake_timeout_ms stall_timeout_ms max_connections max_concurrent_streams
            max_unfinished_request_bytes max_recv_message_bytes max_send_message_bytes max_metadata_bytes
            max_metadata_fields stream_window_bytes max_stream_window_bytes connection_window_bytes
            send_buffer_bytes flood_resets_burst flood_resets_per_second flood_max_early_refusals
            flood_settings_burst flood_settings_per_second flood_max_settings_entries
            flood_control_frames_burst flood_control_frames_per_second flood_max_continuations
            flood_max_pending_acks flood_small_data_budget
            drain_delay_ms reflection reflection_len health channelz jwt authorization_policy
            authorization_policy_file max_running_calls rate_limits telemetry web
        }
        spanwire_web_options {
            size origins origin_count allow_headers allow_header_count expose_headers expose_header_count
            max_age_ms allow_credentials
        }
        spanwire_telemetry_options {
            size endpoint service_name resource_attributes propagators access_log metrics_interval_ms
            trace_ratio metrics_off traces_off
        }
        spanwire_answer { size headers header_count trailers trailer_count details details_len compression }
    };
    let mut rust: BTreeSet<String> = rust.into_iter().collect();
    rust.insert(format!("spanwire_abi_version {SPANWIRE_ABI_VERSION}"));
    let c: BTreeSet<String> = include_str!("abi.txt").lines().map(str::to_owned).collect();
    let differ: Vec<_> = rust.symmetric_difference(&c).collect();
    assert!(differ.is_empty(), "only in one of Rust and C: {differ:#?}");
}
