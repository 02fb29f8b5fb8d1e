/* Counts the heap allocations of a program that is started with LD_PRELOAD=<this>.
 *
 * The counts lie in the file that SPANWIRE_BENCH_ALLOCATIONS names, mapped and shared, so that the runner reads
 * them while the program runs: two 64-bit numbers in the byte order of the machine, calls and bytes asked for.
 */
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

struct counts {
  uint64_t calls;
  uint64_t bytes;
};

/* Counted here until the file is mapped, and for good if it cannot be. */
static struct counts unmapped;
static struct counts *counts = &unmapped;

/* The C library's own allocator under its other name: looking malloc up with dlsym would itself allocate. */
extern void *__libc_malloc(size_t size);
extern void *__libc_calloc(size_t count, size_t size);
extern void *__libc_realloc(void *old, size_t size);
extern void *__libc_memalign(size_t alignment, size_t size);

__attribute__((constructor)) static void map_counts(void) {
  const char *path = getenv("SPANWIRE_BENCH_ALLOCATIONS");
  int file = path == NULL ? -1 : open(path, O_RDWR | O_CLOEXEC);
  if (file < 0) {
    return;
  }
  void *shared = mmap(NULL, sizeof *counts, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
  if (shared != MAP_FAILED) {
    counts = shared;
  }
  close(file);
}

static void count(size_t bytes) {
  __atomic_fetch_add(&counts->calls, 1, __ATOMIC_RELAXED);
  __atomic_fetch_add(&counts->bytes, bytes, __ATOMIC_RELAXED);
}

void *malloc(size_t size) {
  count(size);
  return __libc_malloc(size);
}

void *calloc(size_t number, size_t size) {
  count(number * size);
  return __libc_calloc(number, size);
}

void *realloc(void *old, size_t size) {
  count(size);
  return __libc_realloc(old, size);
}

void *aligned_alloc(size_t alignment, size_t size) {
  count(size);
  return __libc_memalign(alignment, size);
}

int posix_memalign(void **block, size_t alignment, size_t size) {
  count(size);
  *block = __libc_memalign(alignment, size);
  return *block == NULL ? 12 /* ENOMEM */ : 0;
}
