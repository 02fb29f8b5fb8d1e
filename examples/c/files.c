/* Files of any size, in small messages.
 *
 *   build/files server 127.0.0.1:50053 FOLDER
 *   build/files upload 127.0.0.1:50053 photo.jpg
 *   build/files download 127.0.0.1:50053 photo.jpg copy.jpg
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common.h"
#include "files/v1/files.spanwire.h"

/* Bytes in one message: large enough to cost little, small enough to let other calls pass. */
enum { PIECE = 64 * 1024 };

/* ---- server: one thread, which a disk that is slow would hold up; a real one hands files to others ---- */

/* A file on its way in or out; the data of its call. */
typedef struct transfer {
  int file;
  char *name;       /* uploads: what it will be called */
  char *path;       /* uploads: where it is until then, and null once it is there */
  uint64_t written; /* uploads: bytes */
} transfer;

static char *path_in(const char *folder, const char *prefix, const char *name, const char *suffix) {
  size_t len = strlen(folder) + strlen(prefix) + strlen(name) + strlen(suffix) + 2;
  char *path = malloc(len);
  snprintf(path, len, "%s/%s%s%s", folder, prefix, name, suffix);
  return path;
}

/* Whether it is a name, and not a way out of the folder. */
static bool is_plain(const char *name) { return name[0] != 0 && name[0] != '.' && strchr(name, '/') == NULL; }

/* Lets a call go. A file that is not complete goes with it: that is what happens when the client gives up. */
static void release(spanwire_server_call *call) {
  transfer *transfer = spanwire_server_call_data(call);
  if (transfer != NULL) {
    if (transfer->file >= 0) close(transfer->file);
    if (transfer->path != NULL) unlink(transfer->path);
    free(transfer->path);
    free(transfer->name);
    free(transfer);
  }
  spanwire_server_call_set_data(call, NULL);
  spanwire_server_call_free(call);
}

static void refuse(spanwire_server_call *call, spanwire_code code, const char *text) {
  spanwire_server_call_finish(call, code, text, NULL);
  release(call);
}

/* What the system said, as a client may know it. */
static void refuse_for_storage(spanwire_server_call *call) {
  if (errno == ENOENT) {
    refuse(call, SPANWIRE_CODE_NOT_FOUND, "there is no such file");
  } else if (errno == EEXIST) {
    refuse(call, SPANWIRE_CODE_ABORTED, "the same file is being uploaded already");
  } else {
    /* What went wrong inside is no business of the client's. */
    perror("storage");
    refuse(call, SPANWIRE_CODE_INTERNAL, "the storage failed");
  }
}

static void refuse_name(spanwire_server_call *call, const char *name) {
  char text[512];
  snprintf(text, sizeof text, "\"%.400s\" is no plain file name", name);
  refuse(call, SPANWIRE_CODE_INVALID_ARGUMENT, text);
}

static void upload(void *folder, spanwire_server_call *call, spanwire_event *event) {
  (void)folder;
  (void)event;
  transfer *begun = calloc(1, sizeof *begun);
  begun->file = -1;
  spanwire_server_call_set_data(call, begun);
}

static void upload_begins(const char *folder, spanwire_server_call *call, transfer *transfer,
                          const Files__V1__UploadPart *part) {
  if (part->part_case != FILES__V1__UPLOAD_PART__PART_NAME) {
    refuse(call, SPANWIRE_CODE_INVALID_ARGUMENT, "the first part is not the name");
    return;
  }
  if (!is_plain(part->name)) {
    refuse_name(call, part->name);
    return;
  }
  transfer->name = strdup(part->name);
  char *path = path_in(folder, ".", part->name, ".part");
  transfer->file = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
  if (transfer->file >= 0) {
    transfer->path = path;
    return;
  }
  int error = errno;
  free(path); /* It is another call's. */
  errno = error;
  refuse_for_storage(call);
}

static bool write_all(int file, const uint8_t *data, size_t len) {
  while (len > 0) {
    ssize_t count = write(file, data, len);
    if (count < 0) return false;
    data += count;
    len -= (size_t)count;
  }
  return true;
}

static void upload_part(void *folder, spanwire_server_call *call, const Files__V1__UploadPart *part,
                        spanwire_event *event) {
  (void)event;
  transfer *transfer = spanwire_server_call_data(call);
  if (transfer == NULL) return;
  if (transfer->path == NULL) {
    upload_begins(folder, call, transfer, part);
  } else if (part->part_case != FILES__V1__UPLOAD_PART__PART_DATA) {
    refuse(call, SPANWIRE_CODE_INVALID_ARGUMENT, "a part after the first has no data");
  } else if (!write_all(transfer->file, part->data.data, part->data.len)) {
    refuse_for_storage(call);
  } else {
    transfer->written += part->data.len;
  }
}

static void upload_ends(void *folder, spanwire_server_call *call, spanwire_event *event) {
  (void)event;
  transfer *transfer = spanwire_server_call_data(call);
  if (transfer == NULL) return;
  if (transfer->path == NULL) {
    refuse(call, SPANWIRE_CODE_INVALID_ARGUMENT, "the first part is not the name");
    return;
  }
  char *path = path_in(folder, "", transfer->name, "");
  bool stored = fsync(transfer->file) == 0 && rename(transfer->path, path) == 0;
  free(path);
  if (!stored) {
    refuse_for_storage(call);
    return;
  }
  free(transfer->path);
  transfer->path = NULL;
  printf("stored %s, %llu bytes\n", transfer->name, (unsigned long long)transfer->written);
  Files__V1__Stored answer = FILES__V1__STORED__INIT;
  answer.name = transfer->name;
  answer.size = transfer->written;
  files_v1_files_upload_respond(call, &answer, NULL);
  release(call);
}

/* Sends pieces until the call has no room or the file has no more. */
static void send_pieces(spanwire_server_call *call) {
  transfer *transfer = spanwire_server_call_data(call);
  if (transfer == NULL) return;
  static uint8_t data[PIECE];
  for (;;) {
    ssize_t count = read(transfer->file, data, sizeof data);
    if (count < 0) {
      refuse_for_storage(call);
      return;
    }
    if (count == 0) {
      refuse(call, SPANWIRE_CODE_OK, "");
      return;
    }
    Files__V1__Piece piece = FILES__V1__PIECE__INIT;
    piece.data.data = data;
    piece.data.len = (size_t)count;
    /* Full: its WRITABLE comes here again. An error: so does its CANCELLED. */
    if (files_v1_files_download_server_send(call, &piece, 0) != SPANWIRE_DONE) return;
  }
}

static void download(void *folder, spanwire_server_call *call, const Files__V1__DownloadRequest *request,
                     spanwire_event *event) {
  (void)event;
  if (!is_plain(request->name)) {
    refuse_name(call, request->name);
    return;
  }
  transfer *begun = calloc(1, sizeof *begun);
  spanwire_server_call_set_data(call, begun);
  char *path = path_in(folder, "", request->name, "");
  begun->file = open(path, O_RDONLY | O_CLOEXEC);
  free(path);
  struct stat facts;
  if (begun->file < 0 || fstat(begun->file, &facts) < 0 ||
      lseek(begun->file, (off_t)request->offset, SEEK_SET) < 0) {
    refuse_for_storage(call);
    return;
  }
  char size[32];
  snprintf(size, sizeof size, "%lld", (long long)facts.st_size);
  spanwire_metadata_entry entry = {"file-size", size, strlen(size)};
  spanwire_answer answer = {.size = sizeof answer, .headers = &entry, .header_count = 1};
  spanwire_server_call_headers(call, &answer);
  send_pieces(call);
}

static void writable(void *folder, spanwire_server_call *call, spanwire_event *event) {
  (void)folder;
  (void)event;
  send_pieces(call);
}

static void cancelled(void *folder, spanwire_server_call *call, spanwire_event *event) {
  (void)folder;
  (void)event;
  release(call);
}

static void handle(void *service, spanwire_event *event) { files_v1_files_dispatch(service, event); }

static int server(const char *address, char *folder) {
  static files_v1_files_service service = {.upload = upload,
                                           .upload_message = upload_part,
                                           .upload_end = upload_ends,
                                           .download = download,
                                           .on_writable = writable,
                                           .on_cancelled = cancelled};
  service.self = folder;
  spanwire_queue *queue = spanwire_queue_new();
  spanwire_server *server = spanwire_server_new(NULL, NULL);
  if (files_v1_files_register(server, &service, queue) < 0) return failed("the server");
  return serve(server, queue, address, handle, &service);
}

/* ---- client ---- */

typedef struct client {
  spanwire_queue *queue;
  spanwire_channel *channel;
  spanwire_call *call;
  int file;
} client;

static client connected(const char *target) {
  return (client){.queue = spanwire_queue_new(), .channel = spanwire_channel_new(NULL, target, NULL), .file = -1};
}

/* Freeing a call that still runs cancels it: the server never takes a part for the whole. */
static int over(client *client, int code) {
  spanwire_call_free(client->call);
  spanwire_channel_free(client->channel);
  spanwire_queue_free(client->queue);
  if (client->file >= 0) close(client->file);
  return code;
}

/* Waits for the next event of the call. */
static spanwire_event next(client *client) {
  spanwire_event event;
  while (spanwire_queue_next(client->queue, &event, 1, -1) != 1) continue;
  return event;
}

/* Sends the rest of the file, as far as there is room. False if it cannot be read. */
static bool send_parts(client *client) {
  static uint8_t data[PIECE];
  for (;;) {
    ssize_t count = read(client->file, data, sizeof data);
    if (count < 0) return false;
    if (count == 0) {
      spanwire_call_half_close(client->call);
      return true;
    }
    Files__V1__UploadPart part = FILES__V1__UPLOAD_PART__INIT;
    part.part_case = FILES__V1__UPLOAD_PART__PART_DATA;
    part.data.data = data;
    part.data.len = (size_t)count;
    /* Full: go on when it is writable. An error: the call is over, and its DONE says why. */
    if (files_v1_files_upload_send(client->call, &part, 0) != SPANWIRE_DONE) return true;
  }
}

static int upload_file(const char *target, const char *path) {
  client client = connected(target);
  client.file = open(path, O_RDONLY | O_CLOEXEC);
  if (client.file < 0) {
    perror(path);
    return over(&client, 1);
  }
  const char *slash = strrchr(path, '/');
  Files__V1__UploadPart part = FILES__V1__UPLOAD_PART__INIT;
  part.part_case = FILES__V1__UPLOAD_PART__PART_NAME;
  part.name = (char *)(slash != NULL ? slash + 1 : path);
  if (files_v1_files_upload(client.channel, NULL, client.queue, NULL, &client.call) < 0 ||
      files_v1_files_upload_send(client.call, &part, 0) < 0) {
    return over(&client, failed(target));
  }
  bool readable = send_parts(&client);
  for (;;) {
    spanwire_event event = next(&client);
    if (event.type == SPANWIRE_EVENT_WRITABLE) readable = send_parts(&client);
    if (!readable) {
      perror(path);
      spanwire_event_free(&event);
      return over(&client, 1);
    }
    Files__V1__Stored *stored = NULL;
    if (event.type == SPANWIRE_EVENT_MESSAGES) stored = files_v1_files_upload_message(&event.messages[0]);
    if (stored != NULL) printf("uploaded %s, %llu bytes\n", stored->name, (unsigned long long)stored->size);
    files__v1__stored__free_unpacked(stored, NULL);
    bool done = event.type == SPANWIRE_EVENT_DONE;
    int code = done ? outcome(&event.status) : 0;
    spanwire_event_free(&event);
    if (done) return over(&client, code);
  }
}

/* Writes the pieces of an event. False if one cannot be read or stored. */
static bool store_pieces(client *client, const spanwire_event *event) {
  for (size_t i = 0; i < event->message_count; i++) {
    Files__V1__Piece *piece = files_v1_files_download_message(&event->messages[i]);
    bool stored = piece != NULL && write_all(client->file, piece->data.data, piece->data.len);
    files__v1__piece__free_unpacked(piece, NULL);
    if (!stored) return false;
  }
  if (event->message_count > 0) spanwire_call_grant(client->call, (uint32_t)event->message_count);
  return true;
}

static int download_file(const char *target, const char *name, const char *path) {
  client client = connected(target);
  /* What an earlier download left is not asked for again. */
  client.file = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
  struct stat facts;
  if (client.file < 0 || fstat(client.file, &facts) < 0) {
    perror(path);
    return over(&client, 1);
  }
  Files__V1__DownloadRequest request = FILES__V1__DOWNLOAD_REQUEST__INIT;
  request.name = (char *)name;
  request.offset = (uint64_t)facts.st_size;
  spanwire_call_options options = {.size = sizeof options, .credit = 16};
  if (files_v1_files_download(client.channel, &request, &options, client.queue, NULL, &client.call) < 0) {
    return over(&client, failed(target));
  }
  for (;;) {
    spanwire_event event = next(&client);
    spanwire_metadata_entry size;
    if (event.type == SPANWIRE_EVENT_HEADERS && spanwire_metadata_find(event.metadata, "file-size", 0, &size)) {
      printf("downloading bytes %lld to %.*s\n", (long long)facts.st_size, (int)size.value_len,
             (const char *)size.value);
    }
    bool stored = store_pieces(&client, &event);
    bool done = event.type == SPANWIRE_EVENT_DONE;
    int code = done ? outcome(&event.status) : 1;
    spanwire_event_free(&event);
    if (stored && !done) continue;
    if (!stored || (code == 0 && fsync(client.file) < 0)) {
      perror(path);
      code = 1;
    }
    if (code == 0) printf("downloaded %s\n", path);
    return over(&client, code);
  }
}

int main(int argc, char **argv) {
  setvbuf(stdout, NULL, _IOLBF, 0);
  if (argc == 4 && strcmp(argv[1], "server") == 0) return server(argv[2], argv[3]);
  if (argc == 4 && strcmp(argv[1], "upload") == 0) return upload_file(argv[2], argv[3]);
  if (argc == 5 && strcmp(argv[1], "download") == 0) return download_file(argv[2], argv[3], argv[4]);
  fprintf(stderr, "usage: files server ADDRESS FOLDER | upload TARGET FILE | download TARGET NAME FILE\n");
  return 1;
}
