/* Serves the demo until SIGTERM or Ctrl-C: `server --port=50051 [--data=zones.tsv]`. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "atlas.h"
#include "fail.h"
#include "flags.h"
#include "message.h"
#include "serve.h"
#include "zones.h"

static struct atlas atlas;

/* The place of a message; ends the call if it is not on Earth. */
static bool place_of(spanwire_server_call *handle, const Position *position, struct place *place) {
  *place = position == NULL ? (struct place){0} : (struct place){position->latitude, position->longitude};
  if (on_earth(*place)) return true;
  char text[128];
  snprintf(text, sizeof text, "latitude %g, longitude %g is not on Earth", place->latitude, place->longitude);
  finish(handle, SPANWIRE_CODE_INVALID_ARGUMENT, text, NULL);
  return false;
}

/* A message about a zone; `position` is what it points to. */
static Zone zone_message(const struct zone *zone, Position *position) {
  *position = (Position)POSITION_INIT;
  position->latitude = zone->place.latitude;
  position->longitude = zone->place.longitude;
  Zone message = ZONE_INIT;
  message.name = zone->name;
  message.n_countries = zone->country_count;
  message.countries = zone->countries;
  message.position = position;
  return message;
}

/* Whether the zone went out at once; otherwise WRITABLE or CANCELLED follows. */
static bool send_zone(spanwire_server_call *handle, struct zone_at at) {
  Position position;
  Zone message = zone_message(at.zone, &position);
  message.maybe_distance_km_case = HAS_DISTANCE;
  message.distance_km = at.distance_km;
  const spanwire_buffer buffer = message_pack(&message, 0);
  return spanwire_server_call_send(handle, &buffer) == SPANWIRE_DONE;
}

/* ---- Get ---- */

static void get(spanwire_event *event) {
  GetZone *request = message_unpack(&spanwire__demo__v1__get_zone__descriptor, &event->message);
  if (request == NULL) {
    finish(event->server_call, SPANWIRE_CODE_INTERNAL, "the request cannot be read", NULL);
    return;
  }
  const struct zone *zone = atlas_named(&atlas, request->name);
  if (zone != NULL) {
    Position position;
    const Zone message = zone_message(zone, &position);
    respond(event->server_call, &message, NULL);
  } else {
    char text[256];
    snprintf(text, sizeof text, "no zone is called \"%.200s\"", request->name);
    finish(event->server_call, SPANWIRE_CODE_NOT_FOUND, text, NULL);
  }
  message_free(request);
}

/* ---- Near: sends as long as the library takes more ---- */

struct nearby {
  struct call call;
  struct zone_at *found;
  size_t count;
  size_t next;
};

static void send_more(struct call *call, spanwire_event *event) {
  (void)event; /* the beginning, or WRITABLE */
  struct nearby *nearby = (struct nearby *)call;
  while (nearby->next < nearby->count) {
    if (!send_zone(call->handle, nearby->found[nearby->next++])) return;
  }
  finish(call->handle, SPANWIRE_CODE_OK, "", NULL);
  call->over = true;
}

static void free_found(struct call *call) { free(((struct nearby *)call)->found); }

static void near(spanwire_event *event) {
  NearZones *request = message_unpack(&spanwire__demo__v1__near_zones__descriptor, &event->message);
  if (request == NULL) {
    finish(event->server_call, SPANWIRE_CODE_INTERNAL, "the request cannot be read", NULL);
    return;
  }
  struct place place;
  if (place_of(event->server_call, request->position, &place)) {
    const double radius = request->radius_km == 0 ? INFINITY : request->radius_km;
    const size_t most = request->count == 0 ? atlas.count : request->count;
    struct nearby *nearby = must_allocate_zeros(sizeof *nearby);
    nearby->found = atlas_around(&atlas, place);
    while (nearby->count < atlas.count && nearby->count < most &&
           nearby->found[nearby->count].distance_km <= radius) {
      nearby->count++;
    }
    nearby->call.on_event = send_more;
    nearby->call.release = free_found;
    call_keep(&nearby->call, event);
    send_more(&nearby->call, event);
  }
  message_free(request);
}

/* ---- what Journey and Locate have in common ---- */

/* The place in a message that arrived; otherwise the call was answered. */
static bool read_place(spanwire_server_call *handle, const spanwire_bytes *bytes, struct place *place) {
  Position *position = message_unpack(&spanwire__demo__v1__position__descriptor, bytes);
  if (position == NULL) {
    finish(handle, SPANWIRE_CODE_INTERNAL, "the request cannot be read", NULL);
    return false;
  }
  const bool good = place_of(handle, position, place);
  message_free(position);
  return good;
}

/* The nearest zone; otherwise the call was answered. */
static bool nearest(spanwire_server_call *handle, struct place place, struct zone_at *found) {
  *found = atlas_nearest(&atlas, place);
  if (found->zone != NULL) return true;
  finish(handle, SPANWIRE_CODE_NOT_FOUND, "there are no zones", NULL);
  return false;
}

/* ---- Journey ---- */

struct journey {
  struct call call;
  bool has_previous;
  struct place previous;
  JourneySummary summary; /* its names are those of the atlas */
};

static void travel(struct journey *journey, struct place place, const struct zone *zone) {
  JourneySummary *summary = &journey->summary;
  if (journey->has_previous) {
    summary->legs++;
    summary->kilometres += distance_km(journey->previous, place);
  }
  journey->has_previous = true;
  journey->previous = place;
  if (summary->n_zones > 0 && summary->zones[summary->n_zones - 1] == zone->name) return;
  summary->zones = realloc(summary->zones, (summary->n_zones + 1) * sizeof *summary->zones);
  if (summary->zones == NULL) fail("no memory");
  summary->zones[summary->n_zones++] = zone->name;
}

static void on_journey(struct call *call, spanwire_event *event) {
  struct journey *journey = (struct journey *)call;
  for (size_t index = 0; index < event->message_count; index++) {
    struct place place;
    struct zone_at at;
    call->over = !read_place(call->handle, &event->messages[index], &place) || !nearest(call->handle, place, &at);
    if (call->over) return;
    travel(journey, place, at.zone);
  }
  if (event->end) {
    respond(call->handle, &journey->summary, NULL);
    call->over = true;
  } else {
    spanwire_server_call_grant(call->handle, (uint32_t)event->message_count);
  }
}

static void free_names(struct call *call) { free(((struct journey *)call)->summary.zones); }

static void journey(spanwire_event *event) {
  struct journey *journey = must_allocate_zeros(sizeof *journey);
  journey->summary = (JourneySummary)JOURNEY_SUMMARY_INIT;
  journey->call.on_event = on_journey;
  journey->call.release = free_names;
  call_keep(&journey->call, event);
  on_journey(&journey->call, event);
}

/* ---- Locate: a credit of one, so that a position comes when the answer to the one before it has gone ---- */

static void on_locate(struct call *call, spanwire_event *event) {
  bool has_room = event->type == SPANWIRE_EVENT_WRITABLE;
  if (event->message_count > 0) {
    struct place place;
    struct zone_at at;
    call->over = !read_place(call->handle, &event->messages[0], &place) || !nearest(call->handle, place, &at);
    if (call->over) return;
    has_room = send_zone(call->handle, at);
  }
  if (event->end) {
    finish(call->handle, SPANWIRE_CODE_OK, "", NULL);
    call->over = true;
  } else if (has_room) {
    spanwire_server_call_grant(call->handle, 1);
  }
}

static void locate(spanwire_event *event) {
  struct call *call = must_allocate_zeros(sizeof *call);
  call->on_event = on_locate;
  call_keep(call, event);
  on_locate(call, event);
}

static struct method METHODS[] = {
    {ZONES "Get", SPANWIRE_KIND_UNARY, 0, get},
    {ZONES "Near", SPANWIRE_KIND_SERVER_STREAMING, 0, near},
    {ZONES "Journey", SPANWIRE_KIND_CLIENT_STREAMING, 8, journey},
    {ZONES "Locate", SPANWIRE_KIND_BIDI, 1, locate},
};

int main(int argc, char **argv) {
  struct flag flags[] = {{"port", ""}, {"data", "tests/demo/data/zones.tsv"}};
  flags_parse(flags, 2, argc, argv);
  atlas = atlas_read(flag_text(flags, 2, "data"));
  char address[64];
  snprintf(address, sizeof address, "127.0.0.1:%ld", flag_number(flags, 2, "port"));
  serve(NULL, address, METHODS, sizeof METHODS / sizeof *METHODS);
  atlas_free(&atlas);
  return 0;
}
