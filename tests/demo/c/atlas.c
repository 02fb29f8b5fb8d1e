#include "atlas.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fail.h"

/* The mean radius of the Earth, in kilometres. */
#define EARTH_RADIUS_KM 6371.0088
#define DEGREE (3.14159265358979323846 / 180)

bool on_earth(struct place place) {
  /* Not a number is nowhere. */
  return place.latitude >= -90 && place.latitude <= 90 && place.longitude >= -180 && place.longitude <= 180;
}

double distance_km(struct place from, struct place to) {
  const double half_turn = sin((to.longitude - from.longitude) * DEGREE / 2);
  const double half_climb = sin((to.latitude - from.latitude) * DEGREE / 2);
  const double square =
      half_climb * half_climb + cos(from.latitude * DEGREE) * cos(to.latitude * DEGREE) * half_turn * half_turn;
  /* Rounding may lift the antipode a little above 1. */
  return 2 * EARTH_RADIUS_KM * asin(fmin(sqrt(square), 1));
}

/* Cuts the text at the first separator and gives what follows it; null if there is none. */
static char *cut(char *text, char separator) {
  char *at = strchr(text, separator);
  if (at == NULL) return NULL;
  *at = '\0';
  return at + 1;
}

static void append_country(struct zone *zone, const char *country) {
  zone->countries = realloc(zone->countries, (zone->country_count + 1) * sizeof *zone->countries);
  if (zone->countries == NULL) fail("no memory");
  zone->countries[zone->country_count++] = must_copy(country);
}

/* Whether the line is a zone. */
static bool parse(char *line, struct zone *zone) {
  char *countries = cut(line, '\t');
  char *latitude = countries == NULL ? NULL : cut(countries, '\t');
  char *longitude = latitude == NULL ? NULL : cut(latitude, '\t');
  if (longitude == NULL) return false;
  char *latitude_end = NULL, *longitude_end = NULL;
  const struct place place = {strtod(latitude, &latitude_end), strtod(longitude, &longitude_end)};
  if (latitude_end == latitude || *latitude_end != '\0' || longitude_end == longitude || *longitude_end != '\0') {
    return false;
  }
  *zone = (struct zone){.name = must_copy(line), .place = place};
  for (char *country = countries, *next; country != NULL; country = next) {
    next = cut(country, ',');
    append_country(zone, country);
  }
  return on_earth(place);
}

static int by_name(const void *one, const void *other) {
  return strcmp(((const struct zone *)one)->name, ((const struct zone *)other)->name);
}

struct atlas atlas_read(const char *path) {
  FILE *file = fopen(path, "r");
  if (file == NULL) fail("cannot read %s", path);
  struct atlas atlas = {0};
  char line[1024];
  for (int number = 1; fgets(line, sizeof line, file) != NULL; number++) {
    line[strcspn(line, "\n")] = '\0';
    if (line[0] == '\0' || line[0] == '#') continue;
    atlas.zones = realloc(atlas.zones, (atlas.count + 1) * sizeof *atlas.zones);
    if (atlas.zones == NULL) fail("no memory");
    if (!parse(line, &atlas.zones[atlas.count++])) {
      fail("%s:%d: not `name countries latitude longitude`", path, number);
    }
  }
  fclose(file);
  if (atlas.count > 0) qsort(atlas.zones, atlas.count, sizeof *atlas.zones, by_name);
  return atlas;
}

void atlas_free(struct atlas *atlas) {
  for (size_t index = 0; index < atlas->count; index++) {
    struct zone *zone = &atlas->zones[index];
    for (size_t country = 0; country < zone->country_count; country++) free(zone->countries[country]);
    free(zone->countries);
    free(zone->name);
  }
  free(atlas->zones);
}

const struct zone *atlas_named(const struct atlas *atlas, const char *name) {
  /* Only compared, never written to. */
  const struct zone wanted = {.name = (char *)name};
  return bsearch(&wanted, atlas->zones, atlas->count, sizeof *atlas->zones, by_name);
}

/* Nearest first; the zones lie in the order of their names, and so do their addresses. */
static int by_distance(const void *one, const void *other) {
  const struct zone_at *a = one, *b = other;
  if (a->distance_km != b->distance_km) return a->distance_km < b->distance_km ? -1 : 1;
  return (a->zone > b->zone) - (a->zone < b->zone);
}

struct zone_at *atlas_around(const struct atlas *atlas, struct place place) {
  struct zone_at *found = must_allocate(atlas->count * sizeof *found);
  for (size_t index = 0; index < atlas->count; index++) {
    const struct zone *zone = &atlas->zones[index];
    found[index] = (struct zone_at){zone, distance_km(place, zone->place)};
  }
  qsort(found, atlas->count, sizeof *found, by_distance);
  return found;
}

struct zone_at atlas_nearest(const struct atlas *atlas, struct place place) {
  struct zone_at nearest = {.distance_km = INFINITY};
  for (size_t index = 0; index < atlas->count; index++) {
    const double distance = distance_km(place, atlas->zones[index].place);
    if (distance < nearest.distance_km) nearest = (struct zone_at){&atlas->zones[index], distance};
  }
  return nearest;
}
