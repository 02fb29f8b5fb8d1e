/* What the client and the server share: the message of bench.v1, and ends of programs. */
#ifndef BENCH_H
#define BENCH_H

#include <spanwire.h>
#include <stddef.h>
#include <stdint.h>

/* Events that are taken from the queue at once. */
#define EVENTS 128

/* The largest body that a server sends on request, in bytes. */
#define MAX_BODY_BYTES (64ull * 1024 * 1024)
/* Longer messages are handed over instead of copied. */
#define COPIED_BYTES 8192

/* Prints why, as printf, and ends the program. */
_Noreturn void fail(const char *format, ...);
/* Fails with the library's words unless the result says that something was done. */
void must(spanwire_result result, const char *what);
/* A number from the command line; anything else ends the program. */
uint64_t number(const char *text);

/* bench.v1.Block, read and written by hand: the library is what is measured. */
struct block {
  size_t body_len;
  uint64_t count;
  uint64_t size_bytes;
};

/* The block in these bytes; ends the program if there is none. */
struct block block_decode(const spanwire_bytes *bytes);

/* Encodes a block whose body is zeros; free it. */
uint8_t *block_encode(const struct block *block, size_t *len);

/* A buffer with bytes that live as long as the program. Short ones are copied by the library, long ones are not. */
spanwire_buffer buffer_of(const uint8_t *data, size_t len);

/* A buffer that sends back what arrived; long messages move into it. */
spanwire_buffer buffer_of_arrived(spanwire_bytes *bytes);

#endif
