/* Messages both ways at once: what one says, all hear.
 *
 *   build/chat server 127.0.0.1:50052
 *   build/chat client 127.0.0.1:50052 ada
 *   build/chat client 127.0.0.1:50052 grace
 */
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "chat/v1/chat.spanwire.h"
#include "common.h"

/* ---- server: one thread, so nothing here needs a lock ---- */

/* What a listener may be behind, in messages. */
enum { BACKLOG = 256 };

typedef struct member {
  spanwire_server_call *call;
  char *name;
  uint64_t next; /* the number of the first line that it was not sent */
  bool full;     /* it has to take something before more is sent */
  bool leaving;  /* it has half-closed, and still gets what was said before */
  bool gone;     /* its call is over */
  struct member *other;
} member;

typedef struct room {
  Chat__V1__Said lines[BACKLOG]; /* line n is at n % BACKLOG */
  uint64_t count;
  member *members;
} room;

/* Ends a member's call, unless it has ended by itself. It is taken out of the room in sweep(). */
static void end(member *member, spanwire_code code, const char *text) {
  if (!member->gone) spanwire_server_call_finish(member->call, code, text, NULL);
  member->gone = true;
}

/* Sends a member what it has not heard, as far as there is room. */
static void catch_up(room *room, member *member) {
  if (room->count - member->next > BACKLOG) {
    char text[64];
    snprintf(text, sizeof text, "%llu messages came faster than you read",
             (unsigned long long)(room->count - member->next));
    end(member, SPANWIRE_CODE_RESOURCE_EXHAUSTED, text);
  }
  while (!member->gone && !member->full && member->next < room->count) {
    const Chat__V1__Said *said = &room->lines[member->next++ % BACKLOG];
    member->full = chat_v1_chat_join_server_send(member->call, said, 0) == SPANWIRE_FULL;
  }
  if (member->leaving && member->next == room->count) end(member, SPANWIRE_CODE_OK, "");
}

static void tell(room *room, const char *name, const char *text) {
  Chat__V1__Said *line = &room->lines[room->count % BACKLOG];
  if (room->count >= BACKLOG) {
    free(line->name);
    free(line->text);
  }
  chat__v1__said__init(line);
  line->name = strdup(name);
  line->text = strdup(text);
  room->count++;
  for (member *member = room->members; member != NULL; member = member->other) catch_up(room, member);
}

static void tell_of(room *room, const char *name, const char *what) {
  size_t len = strlen(name) + strlen(what) + 2;
  char *text = malloc(len);
  snprintf(text, len, "%s %s", name, what);
  tell(room, "", text);
  free(text);
}

/* Takes out those whose calls are over, and says so to the others. */
static void sweep(room *room) {
  for (member **at = &room->members; *at != NULL;) {
    member *left = *at;
    if (!left->gone) {
      at = &left->other;
      continue;
    }
    *at = left->other;
    tell_of(room, left->name, "left");
    spanwire_server_call_free(left->call);
    free(left->name);
    free(left);
    /* Someone may have become too slow by that. */
    at = &room->members;
  }
}

static void join(void *self, spanwire_server_call *call, spanwire_event *event) {
  (void)event;
  room *room = self;
  spanwire_metadata_entry name;
  if (!spanwire_metadata_find(spanwire_server_call_metadata(call), "chat-name", 0, &name)) {
    spanwire_server_call_finish(call, SPANWIRE_CODE_INVALID_ARGUMENT, "the metadata have no chat-name", NULL);
    spanwire_server_call_free(call);
    return;
  }
  member *joined = calloc(1, sizeof *joined);
  *joined = (member){.call = call, .next = room->count, .other = room->members};
  joined->name = strndup(name.value, name.value_len);
  room->members = joined;
  spanwire_server_call_set_data(call, joined);
  tell_of(room, joined->name, "joined");
}

static void hear(void *self, spanwire_server_call *call, const Chat__V1__Say *say, spanwire_event *event) {
  (void)event;
  member *speaker = spanwire_server_call_data(call);
  if (speaker != NULL) tell(self, speaker->name, say->text);
}

static void leave(void *self, spanwire_server_call *call, spanwire_event *event) {
  (void)event;
  member *member = spanwire_server_call_data(call);
  if (member == NULL) return;
  member->leaving = true;
  catch_up(self, member);
}

static void writable(void *self, spanwire_server_call *call, spanwire_event *event) {
  (void)event;
  member *member = spanwire_server_call_data(call);
  if (member == NULL) return;
  member->full = false;
  catch_up(self, member);
}

static void cancelled(void *self, spanwire_server_call *call, spanwire_event *event) {
  (void)self;
  (void)event;
  member *member = spanwire_server_call_data(call);
  if (member != NULL) member->gone = true;
}

static void handle(void *self, spanwire_event *event) {
  chat_v1_chat_service *service = self;
  chat_v1_chat_dispatch(service, event);
  sweep(service->self);
}

static int server(const char *address) {
  static room room;
  static chat_v1_chat_service service = {.self = &room,
                                         .join = join,
                                         .join_message = hear,
                                         .join_end = leave,
                                         .on_writable = writable,
                                         .on_cancelled = cancelled};
  spanwire_queue *queue = spanwire_queue_new();
  spanwire_server *server = spanwire_server_new(NULL, NULL);
  if (chat_v1_chat_register(server, &service, queue) < 0) return failed("the server");
  return serve(server, queue, address, handle, &service);
}

/* ---- client: one loop that waits for the keyboard and for the server ---- */

typedef struct conversation {
  spanwire_call *call;
  char typed[4096]; /* a line that is not complete yet */
  size_t len;
  bool full, deaf; /* wait before sending more; nothing more comes from the keyboard */
} conversation;

static void say(conversation *conversation, char *line) {
  Chat__V1__Say say = CHAT__V1__SAY__INIT;
  say.text = line;
  /* An error means that the call is over; its DONE says why. */
  if (chat_v1_chat_join_send(conversation->call, &say, 0) == SPANWIRE_FULL) conversation->full = true;
}

/* Sends the complete lines that were typed, as far as there is room. */
static void say_lines(conversation *conversation) {
  char *end;
  while (!conversation->full && (end = memchr(conversation->typed, '\n', conversation->len)) != NULL) {
    *end = 0;
    say(conversation, conversation->typed);
    size_t used = (size_t)(end + 1 - conversation->typed);
    conversation->len -= used;
    memmove(conversation->typed, end + 1, conversation->len);
  }
}

static void listen_to_keyboard(conversation *conversation) {
  size_t room = sizeof conversation->typed - conversation->len - 1;
  ssize_t count = read(STDIN_FILENO, conversation->typed + conversation->len, room);
  if (count > 0) conversation->len += (size_t)count;
  /* The last line may lack its end, and one may be longer than there is room for. */
  conversation->deaf = count <= 0;
  bool cut = conversation->deaf || conversation->len == sizeof conversation->typed - 1;
  if (cut && conversation->len > 0 && memchr(conversation->typed, '\n', conversation->len) == NULL) {
    conversation->typed[conversation->len++] = '\n';
  }
}

/* Prints what was said. False at the end of the call. */
static bool hear_event(conversation *conversation, spanwire_event *event, int *code) {
  for (size_t i = 0; i < event->message_count; i++) {
    Chat__V1__Said *said = chat_v1_chat_join_message(&event->messages[i]);
    if (said == NULL) {
      spanwire_call_cancel(conversation->call);
      return true;
    }
    printf(said->name[0] == 0 ? "* %s%s\n" : "%s: %s\n", said->name, said->text);
    chat__v1__said__free_unpacked(said, NULL);
  }
  if (event->message_count > 0) spanwire_call_grant(conversation->call, (uint32_t)event->message_count);
  if (event->type == SPANWIRE_EVENT_WRITABLE) conversation->full = false;
  if (event->type != SPANWIRE_EVENT_DONE) return true;
  *code = outcome(&event->status);
  return false;
}

static int client(const char *target, const char *name) {
  setvbuf(stdout, NULL, _IOLBF, 0);
  spanwire_queue *queue = spanwire_queue_new();
  spanwire_channel *channel = spanwire_channel_new(NULL, target, NULL);
  spanwire_metadata_entry entry = {"chat-name", name, strlen(name)};
  spanwire_call_options options = {
      .size = sizeof options, .metadata = &entry, .metadata_count = 1, .wait_for_ready = true, .credit = 16};
  static conversation conversation;
  if (chat_v1_chat_join(channel, &options, queue, NULL, &conversation.call) < 0) return failed(target);

  int code = 1;
  for (bool open = true; open;) {
    struct pollfd waiting[] = {{.fd = spanwire_queue_descriptor(queue), .events = POLLIN},
                               {.fd = STDIN_FILENO, .events = POLLIN}};
    bool listens = !conversation.full && !conversation.deaf;
    if (poll(waiting, listens ? 2 : 1, -1) < 0) break;
    if (listens && waiting[1].revents != 0) {
      listen_to_keyboard(&conversation);
      say_lines(&conversation);
      if (conversation.deaf && !conversation.full) spanwire_call_half_close(conversation.call);
    }
    spanwire_event event;
    while (open && spanwire_queue_next(queue, &event, 1, 0) == 1) {
      bool was_full = conversation.full;
      open = hear_event(&conversation, &event, &code);
      spanwire_event_free(&event);
      if (!open || !was_full || conversation.full) continue;
      say_lines(&conversation);
      if (conversation.deaf && !conversation.full) spanwire_call_half_close(conversation.call);
    }
  }
  spanwire_call_free(conversation.call);
  spanwire_channel_free(channel);
  spanwire_queue_free(queue);
  return code;
}

int main(int argc, char **argv) {
  if (argc == 3 && strcmp(argv[1], "server") == 0) return server(argv[2]);
  if (argc == 4 && strcmp(argv[1], "client") == 0) return client(argv[2], argv[3]);
  fprintf(stderr, "usage: chat server ADDRESS | client TARGET NAME\n");
  return 1;
}
