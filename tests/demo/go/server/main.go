// Command server is the demo service on grpc-go: server -port=PORT [-data=FILE]
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"log"
	"net"
	"os"
	"os/signal"
	"syscall"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"spanwire.test/demo/atlas"
	"spanwire.test/demo/zonespb"
)

type zones struct {
	zonespb.UnimplementedZonesServer
	atlas *atlas.Atlas
}

func toPlace(position *zonespb.Position) (atlas.Place, error) {
	place := atlas.Place{Latitude: position.GetLatitude(), Longitude: position.GetLongitude()}
	if !place.OnEarth() {
		return place, status.Errorf(codes.InvalidArgument, "%+v is not on Earth", place)
	}
	return place, nil
}

func toMessage(zone *atlas.Zone, distanceKm *float64) *zonespb.Zone {
	return &zonespb.Zone{
		Name:       zone.Name,
		Countries:  zone.Countries,
		Position:   &zonespb.Position{Latitude: zone.Place.Latitude, Longitude: zone.Place.Longitude},
		DistanceKm: distanceKm,
	}
}

func (z *zones) Get(_ context.Context, request *zonespb.GetZone) (*zonespb.Zone, error) {
	zone := z.atlas.Named(request.GetName())
	if zone == nil {
		return nil, status.Errorf(codes.NotFound, "no zone is called %q", request.GetName())
	}
	return toMessage(zone, nil), nil
}

func (z *zones) Near(request *zonespb.NearZones, replies grpc.ServerStreamingServer[zonespb.Zone]) error {
	place, err := toPlace(request.GetPosition())
	if err != nil {
		return err
	}
	for i, at := range z.atlas.Around(place) {
		enough := request.GetCount() != 0 && uint32(i) == request.GetCount()
		tooFar := request.GetRadiusKm() != 0 && at.DistanceKm > request.GetRadiusKm()
		if enough || tooFar {
			break
		}
		if err := replies.Send(toMessage(at.Zone, proto.Float64(at.DistanceKm))); err != nil {
			return err
		}
	}
	return nil
}

func (z *zones) Journey(requests grpc.ClientStreamingServer[zonespb.Position, zonespb.JourneySummary]) error {
	summary := &zonespb.JourneySummary{}
	var previous *atlas.Place
	for {
		position, err := requests.Recv()
		if err == io.EOF {
			return requests.SendAndClose(summary)
		}
		if err != nil {
			return err
		}
		place, err := toPlace(position)
		if err != nil {
			return err
		}
		if previous != nil {
			summary.Legs++
			summary.Kilometres += previous.DistanceKm(place)
		}
		previous = &place
		name := z.atlas.Nearest(place).Zone.Name
		if last := len(summary.Zones) - 1; last < 0 || summary.Zones[last] != name {
			summary.Zones = append(summary.Zones, name)
		}
	}
}

func (z *zones) Locate(call grpc.BidiStreamingServer[zonespb.Position, zonespb.Zone]) error {
	for {
		position, err := call.Recv()
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
		place, err := toPlace(position)
		if err != nil {
			return err
		}
		at := z.atlas.Nearest(place)
		if err := call.Send(toMessage(at.Zone, proto.Float64(at.DistanceKm))); err != nil {
			return err
		}
	}
}

func main() {
	port := flag.Int("port", 0, "the port of 127.0.0.1 to listen on")
	data := flag.String("data", "tests/demo/data/zones.tsv", "the zones to serve")
	flag.Parse()
	knowledge, err := atlas.Read(*data)
	if err != nil {
		log.Fatal(err)
	}
	listener, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", *port))
	if err != nil {
		log.Fatal(err)
	}
	server := grpc.NewServer()
	zonespb.RegisterZonesServer(server, &zones{atlas: knowledge})
	stop := make(chan os.Signal, 1)
	signal.Notify(stop, syscall.SIGTERM, syscall.SIGINT)
	go func() {
		<-stop
		server.Stop()
	}()
	if err := server.Serve(listener); err != nil {
		log.Fatal(err)
	}
}
