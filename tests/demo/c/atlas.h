/* Time zones and where they are. */
#ifndef DEMO_ATLAS_H
#define DEMO_ATLAS_H

#include <stdbool.h>
#include <stddef.h>

/* A point on the Earth, in degrees. */
struct place {
  double latitude;
  double longitude;
};

/* Whether there is such a place. */
bool on_earth(struct place place);

/* Kilometres along a great circle, by the haversine formula. */
double distance_km(struct place from, struct place to);

/* A time zone and its principal location. */
struct zone {
  char *name;       /* such as `Europe/Zurich` */
  char **countries; /* ISO 3166 codes */
  size_t country_count;
  struct place place;
};

/* All zones, in the order of their names. */
struct atlas {
  struct zone *zones;
  size_t count;
};

/* A zone and how far it is from a place. */
struct zone_at {
  const struct zone *zone;
  double distance_km;
};

/* Reads `zones.tsv`: name, countries, latitude and longitude, with tabs between them; `#` starts a comment. A file
 * that cannot be used ends the program. */
struct atlas atlas_read(const char *path);
void atlas_free(struct atlas *atlas);

/* The zone of this name; null if there is none. */
const struct zone *atlas_named(const struct atlas *atlas, const char *name);

/* All zones with their distances, nearest first, equally near ones by name; free the array. */
struct zone_at *atlas_around(const struct atlas *atlas, struct place place);

/* The nearest zone; its zone is null if there are none at all. */
struct zone_at atlas_nearest(const struct atlas *atlas, struct place place);

#endif
