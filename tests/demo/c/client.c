/* Makes the calls of a work file, one after the other, and prints a report as JSON:
 * `client --target=127.0.0.1:50051 --work=FILE`. */
#include <cJSON.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "fail.h"
#include "flags.h"
#include "message.h"
#include "stream.h"
#include "zones.h"

static const spanwire_call_options PLAIN = {.size = sizeof PLAIN};

/* What a failed call is answered with. */
static cJSON *failure(const spanwire_status *status) {
  cJSON *answer = cJSON_CreateObject();
  cJSON_AddNumberToObject(answer, "code", status->code);
  return answer;
}

static void append_text(cJSON *array, const char *text) { cJSON_AddItemToArray(array, cJSON_CreateString(text)); }
static void append_number(cJSON *array, double number) { cJSON_AddItemToArray(array, cJSON_CreateNumber(number)); }

static void append_distance(cJSON *array, const Zone *zone) {
  if (zone->maybe_distance_km_case == HAS_DISTANCE) {
    append_number(array, zone->distance_km);
  } else {
    cJSON_AddItemToArray(array, cJSON_CreateNull());
  }
}

static cJSON *texts(char **names, size_t count) {
  cJSON *array = cJSON_CreateArray();
  for (size_t index = 0; index < count; index++) append_text(array, names[index]);
  return array;
}

static Zone *read_zone(const spanwire_bytes *bytes) {
  Zone *zone = message_unpack(&spanwire__demo__v1__zone__descriptor, bytes);
  if (zone == NULL) fail("the zone cannot be read");
  return zone;
}

/* Appends a zone as the answers about places have it. */
static void append_place(cJSON *answers, const spanwire_bytes *bytes) {
  Zone *zone = read_zone(bytes);
  cJSON *answer = cJSON_CreateArray();
  append_text(answer, zone->name);
  append_distance(answer, zone);
  cJSON_AddItemToArray(answers, answer);
  message_free(zone);
}

static Position position_of(const cJSON *pair) {
  Position position = POSITION_INIT;
  position.latitude = cJSON_GetArrayItem(pair, 0)->valuedouble;
  position.longitude = cJSON_GetArrayItem(pair, 1)->valuedouble;
  return position;
}

/* Each of these makes one call, adds its messages, both ways, and gives its answer. */
typedef cJSON *make_call(spanwire_channel *channel, const cJSON *item, int *messages);

static cJSON *get(spanwire_channel *channel, const cJSON *item, int *messages) {
  GetZone request = GET_ZONE_INIT;
  request.name = item->valuestring;
  const spanwire_buffer buffer = message_pack(&request, 0);
  spanwire_event done = {0};
  must(spanwire_call_unary_blocking(channel, ZONES "Get", &buffer, &PLAIN, &done), "Get");
  cJSON *answer = NULL;
  if (done.status.code == SPANWIRE_CODE_OK) {
    *messages += 2;
    Zone *zone = read_zone(&done.message);
    answer = cJSON_CreateArray();
    append_text(answer, zone->name);
    cJSON_AddItemToArray(answer, texts(zone->countries, zone->n_countries));
    append_number(answer, zone->position != NULL ? zone->position->latitude : 0);
    append_number(answer, zone->position != NULL ? zone->position->longitude : 0);
    append_distance(answer, zone);
    message_free(zone);
  } else {
    *messages += 1;
    answer = failure(&done.status);
  }
  spanwire_event_free(&done);
  return answer;
}

/* Takes the call's answer, unless the call failed. */
static cJSON *unless_failed(struct stream *stream, cJSON *answer) {
  const spanwire_status *status = stream_status(stream);
  if (status->code == SPANWIRE_CODE_OK) return answer;
  cJSON_Delete(answer);
  return failure(status);
}

static cJSON *near(spanwire_channel *channel, const cJSON *item, int *messages) {
  Position position = position_of(cJSON_GetObjectItem(item, "position"));
  NearZones request = NEAR_ZONES_INIT;
  request.position = &position;
  request.count = (uint32_t)cJSON_GetObjectItem(item, "count")->valueint;
  request.radius_km = cJSON_GetObjectItem(item, "radius_km")->valuedouble;
  struct stream stream;
  stream_open(&stream, channel, ZONES "Near", SPANWIRE_KIND_SERVER_STREAMING, &PLAIN);
  stream_send(&stream, &request, SPANWIRE_SEND_LAST);
  *messages += 1;
  cJSON *zones = cJSON_CreateArray();
  for (const spanwire_bytes *zone; (zone = stream_next(&stream)) != NULL; *messages += 1) append_place(zones, zone);
  cJSON *answer = unless_failed(&stream, zones);
  stream_close(&stream);
  return answer;
}

static cJSON *journey(spanwire_channel *channel, const cJSON *item, int *messages) {
  struct stream stream;
  stream_open(&stream, channel, ZONES "Journey", SPANWIRE_KIND_CLIENT_STREAMING, &PLAIN);
  const cJSON *pair;
  cJSON_ArrayForEach(pair, item) {
    const Position position = position_of(pair);
    *messages += 1;
    if (!stream_send(&stream, &position, 0)) break;
  }
  stream_half_close(&stream);
  cJSON *answer = cJSON_CreateArray();
  const spanwire_bytes *bytes = stream_next(&stream);
  if (bytes != NULL) {
    *messages += 1;
    JourneySummary *summary = message_unpack(&spanwire__demo__v1__journey_summary__descriptor, bytes);
    if (summary == NULL) fail("the summary cannot be read");
    append_number(answer, summary->legs);
    append_number(answer, summary->kilometres);
    cJSON_AddItemToArray(answer, texts(summary->zones, summary->n_zones));
    message_free(summary);
  }
  answer = unless_failed(&stream, answer);
  stream_close(&stream);
  return answer;
}

static cJSON *locate(spanwire_channel *channel, const cJSON *item, int *messages) {
  struct stream stream;
  stream_open(&stream, channel, ZONES "Locate", SPANWIRE_KIND_BIDI, &PLAIN);
  cJSON *zones = cJSON_CreateArray();
  const cJSON *pair;
  cJSON_ArrayForEach(pair, item) {
    const Position position = position_of(pair);
    if (!stream_send(&stream, &position, 0)) break;
    *messages += 1;
    const spanwire_bytes *zone = stream_next(&stream);
    if (zone == NULL) break;
    *messages += 1;
    append_place(zones, zone);
  }
  stream_half_close(&stream);
  if (stream_next(&stream) != NULL) fail("a zone came that nobody asked for");
  cJSON *answer = unless_failed(&stream, zones);
  stream_close(&stream);
  return answer;
}

static double now_seconds(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

/* Makes all calls of one method. */
static cJSON *report(spanwire_channel *channel, const cJSON *items, make_call *call) {
  cJSON *answers = cJSON_CreateArray();
  int calls = 0, messages = 0;
  const double began = now_seconds();
  const cJSON *item;
  cJSON_ArrayForEach(item, items) {
    cJSON_AddItemToArray(answers, call(channel, item, &messages));
    calls++;
  }
  const double seconds = now_seconds() - began;
  cJSON *made = cJSON_CreateObject();
  cJSON_AddNumberToObject(made, "calls", calls);
  cJSON_AddNumberToObject(made, "messages", messages);
  cJSON_AddNumberToObject(made, "seconds", seconds);
  cJSON_AddItemToObject(made, "answers", answers);
  return made;
}

static cJSON *read_work(const char *path) {
  FILE *file = fopen(path, "rb");
  if (file == NULL) fail("cannot read %s", path);
  fseek(file, 0, SEEK_END);
  const size_t size = (size_t)ftell(file);
  rewind(file);
  char *text = must_allocate(size);
  if (fread(text, 1, size, file) != size) fail("cannot read %s", path);
  fclose(file);
  cJSON *work = cJSON_ParseWithLength(text, size);
  if (work == NULL) fail("%s is not JSON", path);
  free(text);
  return work;
}

/* Connecting is not what is timed. */
static void wait_until_connected(spanwire_channel *channel) {
  GetZone request = GET_ZONE_INIT;
  request.name = "Europe/Zurich";
  const spanwire_buffer buffer = message_pack(&request, 0);
  const spanwire_call_options options = {.size = sizeof options, .wait_for_ready = true};
  spanwire_event done = {0};
  must(spanwire_call_unary_blocking(channel, ZONES "Get", &buffer, &options, &done), "Get");
  if (done.status.code != SPANWIRE_CODE_OK) fail("the first call: %s", done.status.message);
  spanwire_event_free(&done);
}

int main(int argc, char **argv) {
  static const struct {
    const char *name;
    make_call *call;
  } METHODS[] = {{"get", get}, {"near", near}, {"journey", journey}, {"locate", locate}};
  struct flag flags[] = {{"target", ""}, {"work", ""}};
  flags_parse(flags, 2, argc, argv);
  cJSON *work = read_work(flag_text(flags, 2, "work"));
  spanwire_channel *channel = spanwire_channel_new(NULL, flag_text(flags, 2, "target"), NULL);
  if (channel == NULL) fail("no channel: %s", spanwire_last_error());
  wait_until_connected(channel);

  cJSON *reports = cJSON_CreateObject();
  for (size_t index = 0; index < sizeof METHODS / sizeof *METHODS; index++) {
    const cJSON *items = cJSON_GetObjectItem(work, METHODS[index].name);
    cJSON_AddItemToObject(reports, METHODS[index].name, report(channel, items, METHODS[index].call));
  }
  char *text = cJSON_PrintUnformatted(reports);
  puts(text);

  cJSON_free(text);
  cJSON_Delete(reports);
  cJSON_Delete(work);
  spanwire_channel_free(channel);
  return 0;
}
