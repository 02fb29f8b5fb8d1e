#include "flags.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "fail.h"

/* The flag whose name is the first `length` characters. */
static const struct flag *find(const struct flag *flags, size_t count, const char *name, size_t length) {
  for (size_t index = 0; index < count; index++) {
    if (strncmp(flags[index].name, name, length) == 0 && flags[index].name[length] == '\0') return &flags[index];
  }
  return NULL;
}

void flags_parse(struct flag *flags, size_t count, int argc, char **argv) {
  for (int index = 1; index < argc; index++) {
    const char *word = argv[index];
    const char *equals = strchr(word, '=');
    if (strncmp(word, "--", 2) != 0 || equals == NULL) fail("flags are --name=value, not %s", word);
    const struct flag *found = find(flags, count, word + 2, (size_t)(equals - word) - 2);
    if (found == NULL) fail("unknown flag: %s", word);
    flags[found - flags].value = equals + 1;
  }
}

const char *flag_text(const struct flag *flags, size_t count, const char *name) {
  const struct flag *found = find(flags, count, name, strlen(name));
  if (found == NULL) fail("there is no flag %s", name);
  return found->value;
}

long flag_number(const struct flag *flags, size_t count, const char *name) {
  const char *text = flag_text(flags, count, name);
  char *end = NULL;
  errno = 0;
  const long number = strtol(text, &end, 10);
  if (end == text || *end != '\0' || errno != 0 || number < 0) fail("--%s=%s is not a number", name, text);
  return number;
}

bool flag_is_true(const struct flag *flags, size_t count, const char *name) {
  return strcmp(flag_text(flags, count, name), "true") == 0;
}
