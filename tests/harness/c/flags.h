/* Command lines: `--name=value`. */
#ifndef HARNESS_FLAGS_H
#define HARNESS_FLAGS_H

#include <stdbool.h>
#include <stddef.h>

/* A flag that there is, with its default. */
struct flag {
  const char *name;
  const char *value;
};

/* Takes the command line over the defaults. A flag that is not in the list ends the program. */
void flags_parse(struct flag *flags, size_t count, int argc, char **argv);

/* Its value; the name must be in the list. */
const char *flag_text(const struct flag *flags, size_t count, const char *name);

/* Its value as a number from 0 on; anything else ends the program. */
long flag_number(const struct flag *flags, size_t count, const char *name);

/* Whether its value is `true`. */
bool flag_is_true(const struct flag *flags, size_t count, const char *name);

#endif
