// Channelz walks through everything that a server tells by grpc.channelz.v1,
// with the client and the messages that grpc-go publishes, and prints it: one
// line for each channel, subchannel, server and socket. It fails if anything
// that is referred to is not there.
package main

import (
	"context"
	"fmt"
	"log"
	"net"
	"os"
	"time"

	"google.golang.org/grpc"
	channelz "google.golang.org/grpc/channelz/grpc_channelz_v1"
	"google.golang.org/grpc/credentials/insecure"
)

func main() {
	log.SetFlags(0)
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	conn, err := grpc.NewClient(os.Args[1], grpc.WithTransportCredentials(insecure.NewCredentials()))
	check(err)
	defer conn.Close()
	walk(ctx, channelz.NewChannelzClient(conn))
}

func check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}

func walk(ctx context.Context, client channelz.ChannelzClient) {
	channels, err := client.GetTopChannels(ctx, &channelz.GetTopChannelsRequest{})
	check(err)
	for _, channel := range channels.GetChannel() {
		show("channel", channel.GetRef().GetName(), channel.GetData())
		for _, ref := range channel.GetSubchannelRef() {
			found, err := client.GetSubchannel(ctx, &channelz.GetSubchannelRequest{SubchannelId: ref.GetSubchannelId()})
			check(err)
			show("subchannel", ref.GetName(), found.GetSubchannel().GetData())
			for _, socket := range found.GetSubchannel().GetSocketRef() {
				showSocket(ctx, client, socket)
			}
		}
	}
	servers, err := client.GetServers(ctx, &channelz.GetServersRequest{})
	check(err)
	for _, server := range servers.GetServer() {
		data := server.GetData()
		fmt.Println("server", server.GetRef().GetName(),
			data.GetCallsStarted(), data.GetCallsSucceeded(), data.GetCallsFailed())
		for _, socket := range server.GetListenSocket() {
			showSocket(ctx, client, socket)
		}
		sockets, err := client.GetServerSockets(ctx,
			&channelz.GetServerSocketsRequest{ServerId: server.GetRef().GetServerId()})
		check(err)
		for _, socket := range sockets.GetSocketRef() {
			showSocket(ctx, client, socket)
		}
	}
}

func show(what, name string, data *channelz.ChannelData) {
	fmt.Println(what, name, data.GetState().GetState(), data.GetTarget(),
		data.GetCallsStarted(), data.GetCallsSucceeded(), data.GetCallsFailed())
}

func showSocket(ctx context.Context, client channelz.ChannelzClient, ref *channelz.SocketRef) {
	found, err := client.GetSocket(ctx, &channelz.GetSocketRequest{SocketId: ref.GetSocketId()})
	check(err)
	socket := found.GetSocket()
	fmt.Println("socket", address(socket.GetLocal()), address(socket.GetRemote()),
		socket.GetData().GetStreamsStarted(), socket.GetData().GetStreamsSucceeded())
}

func address(of *channelz.Address) string {
	if tcp := of.GetTcpipAddress(); tcp != nil {
		return fmt.Sprintf("%v:%d", net.IP(tcp.GetIpAddress()), tcp.GetPort())
	}
	return "-"
}
