// Command client calls the demo service with grpc-go: client -target=HOST:PORT -work=FILE
//
// It makes the calls of the work file, one after the other, and prints a report as JSON.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"io"
	"log"
	"os"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"

	"spanwire.test/demo/zonespb"
)

type pair [2]float64

type question struct {
	Position pair    `json:"position"`
	Count    uint32  `json:"count"`
	RadiusKm float64 `json:"radius_km"`
}

type work struct {
	Get     []string   `json:"get"`
	Near    []question `json:"near"`
	Journey [][]pair   `json:"journey"`
	Locate  [][]pair   `json:"locate"`
}

type report struct {
	Calls    int     `json:"calls"`
	Messages int     `json:"messages"`
	Seconds  float64 `json:"seconds"`
	Answers  []any   `json:"answers"`
}

func toMessage(position pair) *zonespb.Position {
	return &zonespb.Position{Latitude: position[0], Longitude: position[1]}
}

func distance(zone *zonespb.Zone) any {
	return []any{zone.GetName(), zone.GetDistanceKm()}
}

// A call gives the number of its messages, both ways, and its answer.
func get(client zonespb.ZonesClient, name string) (int, any, error) {
	zone, err := client.Get(context.Background(), &zonespb.GetZone{Name: name})
	if err != nil {
		return 1, nil, err
	}
	place := zone.GetPosition()
	return 2, []any{zone.GetName(), zone.GetCountries(), place.GetLatitude(), place.GetLongitude(), zone.DistanceKm}, nil
}

func near(client zonespb.ZonesClient, q question) (int, any, error) {
	request := &zonespb.NearZones{Position: toMessage(q.Position), Count: q.Count, RadiusKm: q.RadiusKm}
	zones, err := client.Near(context.Background(), request)
	if err != nil {
		return 1, nil, err
	}
	answers := []any{}
	for {
		zone, err := zones.Recv()
		if err == io.EOF {
			return 1 + len(answers), answers, nil
		}
		if err != nil {
			return 1 + len(answers), nil, err
		}
		answers = append(answers, distance(zone))
	}
}

func journey(client zonespb.ZonesClient, positions []pair) (int, any, error) {
	call, err := client.Journey(context.Background())
	if err != nil {
		return 0, nil, err
	}
	for _, position := range positions {
		// An early end shows as EOF here; the status comes from CloseAndRecv.
		if err := call.Send(toMessage(position)); err != nil && err != io.EOF {
			return 0, nil, err
		}
	}
	summary, err := call.CloseAndRecv()
	if err != nil {
		return len(positions), nil, err
	}
	return len(positions) + 1, []any{summary.GetLegs(), summary.GetKilometres(), summary.GetZones()}, nil
}

func locate(client zonespb.ZonesClient, positions []pair) (int, any, error) {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	call, err := client.Locate(ctx)
	if err != nil {
		return 0, nil, err
	}
	answers := []any{}
	for _, position := range positions {
		if err := call.Send(toMessage(position)); err != nil && err != io.EOF {
			return len(answers), nil, err
		}
		zone, err := call.Recv()
		if err != nil {
			return len(answers), nil, err
		}
		answers = append(answers, distance(zone))
	}
	if err := call.CloseSend(); err != nil {
		return len(answers), nil, err
	}
	if _, err := call.Recv(); err != io.EOF {
		return len(answers), nil, errors.Join(errors.New("no end where one is due"), err)
	}
	return 2 * len(answers), answers, nil
}

func run[T any](client zonespb.ZonesClient, items []T, call func(zonespb.ZonesClient, T) (int, any, error)) report {
	result := report{Calls: len(items), Answers: []any{}}
	began := time.Now()
	for _, item := range items {
		messages, answer, err := call(client, item)
		if err != nil {
			answer = map[string]any{"code": status.Code(err)}
		}
		result.Messages += messages
		result.Answers = append(result.Answers, answer)
	}
	result.Seconds = time.Since(began).Seconds()
	return result
}

func main() {
	target := flag.String("target", "", "the server, as host:port")
	file := flag.String("work", "", "the work file")
	flag.Parse()
	text, err := os.ReadFile(*file)
	if err != nil {
		log.Fatal(err)
	}
	var todo work
	if err := json.Unmarshal(text, &todo); err != nil {
		log.Fatalf("%s: %v", *file, err)
	}
	conn, err := grpc.NewClient(*target, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		log.Fatal(err)
	}
	defer conn.Close()
	client := zonespb.NewZonesClient(conn)
	// Connecting is not what is timed.
	warm := &zonespb.GetZone{Name: "Europe/Zurich"}
	if _, err := client.Get(context.Background(), warm, grpc.WaitForReady(true)); err != nil {
		log.Fatal(err)
	}
	reports := map[string]report{
		"get":     run(client, todo.Get, get),
		"near":    run(client, todo.Near, near),
		"journey": run(client, todo.Journey, journey),
		"locate":  run(client, todo.Locate, locate),
	}
	if err := json.NewEncoder(os.Stdout).Encode(reports); err != nil {
		log.Fatal(err)
	}
}
