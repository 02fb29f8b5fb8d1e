/* One request, one response.
 *
 *   build/greeter server 127.0.0.1:50051
 *   build/greeter client 127.0.0.1:50051 Ada
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common.h"
#include "greeter/v1/greeter.spanwire.h"

/* ---- server ---- */

static void greet(void *self, spanwire_server_call *call, const Greeter__V1__GreetRequest *request,
                  spanwire_event *event) {
  (void)self;
  (void)event;
  if (request->name[0] == 0) {
    const char *text = "name is empty: whom shall I greet?";
    spanwire_server_call_finish(call, SPANWIRE_CODE_INVALID_ARGUMENT, text, NULL);
  } else {
    char peer[256];
    spanwire_server_call_peer(call, peer, sizeof peer);
    printf("greeting %s at %s\n", request->name, peer);
    size_t len = strlen(request->name) + sizeof "Hello, !";
    char *text = malloc(len);
    snprintf(text, len, "Hello, %s!", request->name);
    Greeter__V1__Greeting greeting = GREETER__V1__GREETING__INIT;
    greeting.text = text;
    greeter_v1_greeter_greet_respond(call, &greeting, NULL);
    free(text);
  }
  spanwire_server_call_free(call);
}

static void handle(void *service, spanwire_event *event) { greeter_v1_greeter_dispatch(service, event); }

static int server(const char *address) {
  spanwire_queue *queue = spanwire_queue_new();
  spanwire_server *server = spanwire_server_new(NULL, NULL);
  static greeter_v1_greeter_service service = {.greet = greet};
  if (greeter_v1_greeter_register(server, &service, queue) < 0) return failed("the server");
  return serve(server, queue, address, handle, &service);
}

/* ---- client ---- */

static int client(const char *target, const char *name) {
  spanwire_channel *channel = spanwire_channel_new(NULL, target, NULL);
  Greeter__V1__GreetRequest request = GREETER__V1__GREET_REQUEST__INIT;
  request.name = (char *)name;
  /* The server may still be starting: wait for it, but not for ever. */
  spanwire_call_options options = {.size = sizeof options, .wait_for_ready = true, .timeout_ms = 10000};
  Greeter__V1__Greeting *greeting = NULL;
  spanwire_event done;
  if (greeter_v1_greeter_greet_blocking(channel, &request, &options, &greeting, &done) < 0) return failed(target);
  int code = outcome(&done.status);
  if (greeting != NULL) printf("%s\n", greeting->text);
  greeter__v1__greeting__free_unpacked(greeting, NULL);
  spanwire_event_free(&done);
  spanwire_channel_free(channel);
  return code;
}

int main(int argc, char **argv) {
  if (argc == 3 && strcmp(argv[1], "server") == 0) return server(argv[2]);
  if (argc == 4 && strcmp(argv[1], "client") == 0) return client(argv[2], argv[3]);
  fprintf(stderr, "usage: greeter server ADDRESS | client TARGET NAME\n");
  return 1;
}
