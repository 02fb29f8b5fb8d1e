//! Channelz: what a process tells of its channels, servers and connections (`grpc.channelz.v1`).
//!
//! Nothing is counted for it but failures: what there is to tell was known before. Messages are not counted, so their
//! numbers stay 0; and each attempt of a call counts as a call.

use std::net::IpAddr;
use std::sync::Arc;

use super::grpc::channelz::v1::{
    self as proto, Channel, ChannelConnectivityState, ChannelData, ChannelRef, GetChannelRequest,
    GetChannelResponse, GetServerRequest, GetServerResponse, GetServerSocketsRequest,
    GetServerSocketsResponse, GetServersRequest, GetServersResponse, GetSocketRequest, GetSocketResponse,
    GetSubchannelRequest, GetSubchannelResponse, GetTopChannelsRequest, GetTopChannelsResponse, Security,
    Server, ServerData, ServerRef, Socket, SocketData, SocketRef, Subchannel, SubchannelRef,
    address as addresses, channel_connectivity_state::State, security as securities,
};
use crate::channel::{CHANNELS, Control, balance};
use crate::server::{Handler, Service};
use crate::stats::{SERVERS, ServerCounters, Tally};
use crate::transport::watch::WireFacts;
use crate::transport::{Peer, PeerAddr};
use crate::{Connectivity, ServerBuilder, Status};

/// The most that a list has, and what it has if nothing is asked for.
const MOST: usize = 100;

impl ServerBuilder {
    /// Serves `grpc.channelz.v1.Channelz`, which tells of all channels and servers of this process that are made from now
    /// on. It tells addresses and traffic: for people who may know.
    pub fn channelz(self) -> Self {
        CHANNELS.turn_on();
        SERVERS.turn_on();
        self.built_in(Box::new(|_| Ok(vec![Box::new(Census)])))
    }
}

/// The service; it has nothing of its own.
struct Census;

impl Service for Census {
    fn name(&self) -> &'static str {
        "grpc.channelz.v1.Channelz"
    }

    fn methods(&self) -> Vec<(&'static str, Handler)> {
        vec![
            ("GetTopChannels", Handler::at_once(get_top_channels)),
            ("GetServers", Handler::at_once(get_servers)),
            ("GetServer", Handler::at_once(get_server)),
            ("GetServerSockets", Handler::at_once(get_server_sockets)),
            ("GetChannel", Handler::at_once(get_channel)),
            ("GetSubchannel", Handler::at_once(get_subchannel)),
            ("GetSocket", Handler::at_once(get_socket)),
        ]
    }
}

fn get_top_channels(request: GetTopChannelsRequest) -> Result<GetTopChannelsResponse, Status> {
    let all = CHANNELS.all().into_iter();
    let (found, end) = page(all, request.start_channel_id, request.max_results);
    let channel = found.into_iter().map(|(id, control)| channel(id, &control)).collect();
    Ok(GetTopChannelsResponse { channel, end })
}

fn get_servers(request: GetServersRequest) -> Result<GetServersResponse, Status> {
    let all = SERVERS.all().into_iter();
    let (found, end) = page(all, request.start_server_id, request.max_results);
    let server = found.into_iter().map(|(id, counters)| server(id, &counters)).collect();
    Ok(GetServersResponse { server, end })
}

fn get_server(request: GetServerRequest) -> Result<GetServerResponse, Status> {
    let (id, counters) = server_of(request.server_id)?;
    Ok(GetServerResponse { server: Some(server(id, &counters)) })
}

fn get_server_sockets(request: GetServerSocketsRequest) -> Result<GetServerSocketsResponse, Status> {
    let (_, counters) = server_of(request.server_id)?;
    let all = counters.connections().into_iter();
    let (found, end) = page(all, request.start_socket_id, request.max_results);
    let socket_ref =
        found.into_iter().map(|(id, calls)| socket_ref(id, calls.peer().map(Peer::addr))).collect();
    Ok(GetServerSocketsResponse { socket_ref, end })
}

fn get_channel(request: GetChannelRequest) -> Result<GetChannelResponse, Status> {
    let found = id_of(request.channel_id).and_then(|id| Some((id, CHANNELS.get(id)?)));
    let (id, control) = found.ok_or_else(|| unknown("channel", request.channel_id))?;
    Ok(GetChannelResponse { channel: Some(channel(id, &control)) })
}

fn get_subchannel(request: GetSubchannelRequest) -> Result<GetSubchannelResponse, Status> {
    let wanted = id_of(request.subchannel_id);
    let mut all = CHANNELS.all().into_iter().flat_map(|(_, control)| control.all_subchannels());
    let found = all.find(|subchannel| Some(subchannel.id()) == wanted);
    let found = found.ok_or_else(|| unknown("subchannel", request.subchannel_id))?;
    Ok(GetSubchannelResponse { subchannel: Some(subchannel(&found)) })
}

fn get_socket(request: GetSocketRequest) -> Result<GetSocketResponse, Status> {
    let found = id_of(request.socket_id).and_then(|id| client_socket(id).or_else(|| server_socket(id)));
    let socket = found.ok_or_else(|| unknown("socket", request.socket_id))?;
    Ok(GetSocketResponse { socket: Some(socket) })
}

/// Those from a number on, as many as are wanted; and whether there are none beyond.
fn page<T>(all: impl Iterator<Item = (u64, T)>, start: i64, max: i64) -> (Vec<(u64, T)>, bool) {
    let start = u64::try_from(start).unwrap_or(0);
    let max = usize::try_from(max).ok().filter(|max| *max > 0).unwrap_or(MOST).min(MOST);
    let mut rest = all.skip_while(|(id, _)| *id < start);
    let found = rest.by_ref().take(max).collect();
    (found, rest.next().is_none())
}

fn id_of(id: i64) -> Option<u64> {
    u64::try_from(id).ok()
}

/// As the protocol has numbers.
fn number(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

fn unknown(what: &str, id: i64) -> Status {
    Status::not_found(format!("there is no {what} {id}"))
}

fn server_of(id: i64) -> Result<(u64, Arc<ServerCounters>), Status> {
    let found = id_of(id).and_then(|id| Some((id, SERVERS.get(id)?)));
    found.ok_or_else(|| unknown("server", id))
}

fn channel(id: u64, control: &Control) -> Channel {
    let state = match control.connectivity() {
        Connectivity::Idle => State::Idle,
        Connectivity::Connecting => State::Connecting,
        Connectivity::Ready => State::Ready,
        Connectivity::TransientFailure => State::TransientFailure,
    };
    Channel {
        r#ref: Some(ChannelRef { channel_id: number(id), name: control.target().to_owned() }),
        data: Some(data(state, control.target(), control.tally())),
        subchannel_ref: control
            .all_subchannels()
            .iter()
            .map(|subchannel| subchannel_ref(subchannel))
            .collect(),
        ..Channel::default()
    }
}

fn subchannel(subchannel: &balance::Subchannel) -> Subchannel {
    let state = match subchannel.state() {
        balance::SubchannelState::Idle => State::Idle,
        balance::SubchannelState::Connecting => State::Connecting,
        balance::SubchannelState::Ready => State::Ready,
        balance::SubchannelState::TransientFailure(_) => State::TransientFailure,
    };
    Subchannel {
        r#ref: Some(subchannel_ref(subchannel)),
        data: Some(data(state, &subchannel.address().to_string(), subchannel.tally())),
        socket_ref: subchannel
            .lines()
            .iter()
            .map(|line| socket_ref(line.id(), Some(line.peer().addr())))
            .collect(),
        ..Subchannel::default()
    }
}

fn subchannel_ref(subchannel: &balance::Subchannel) -> SubchannelRef {
    SubchannelRef { subchannel_id: number(subchannel.id()), name: subchannel.address().to_string() }
}

fn data(state: State, target: &str, tally: Tally) -> ChannelData {
    ChannelData {
        state: Some(ChannelConnectivityState { state: state.into() }),
        target: target.to_owned(),
        calls_started: number(tally.begun),
        calls_succeeded: number(tally.succeeded()),
        calls_failed: number(tally.failed),
        ..ChannelData::default()
    }
}

fn server(id: u64, counters: &ServerCounters) -> Server {
    let tally = counters.tally();
    let listens = counters.listens.get();
    Server {
        r#ref: Some(ServerRef {
            server_id: number(id),
            name: listens.map(|(_, address)| address.to_string()).unwrap_or_default(),
        }),
        data: Some(ServerData {
            calls_started: number(tally.begun),
            calls_succeeded: number(tally.succeeded()),
            calls_failed: number(tally.failed),
            ..ServerData::default()
        }),
        listen_socket: listens.iter().map(|(id, address)| socket_ref(*id, Some(address))).collect(),
    }
}

/// An end of a connection is known when TLS is done.
fn socket_ref(id: u64, address: Option<&PeerAddr>) -> SocketRef {
    SocketRef { socket_id: number(id), name: address.map(ToString::to_string).unwrap_or_default() }
}

fn client_socket(id: u64) -> Option<Socket> {
    let subchannels = CHANNELS.all().into_iter().flat_map(|(_, control)| control.all_subchannels());
    let line = subchannels.flat_map(|subchannel| subchannel.lines()).find(|line| line.id() == id)?;
    Some(socket(id, Some(line.peer()), None, traffic(line.tally(), line.facts())))
}

fn server_socket(id: u64) -> Option<Socket> {
    SERVERS.all().into_iter().find_map(|(_, counters)| {
        let listens = counters.listens.get();
        if let Some((_, address)) = listens.filter(|(number, _)| *number == id) {
            return Some(socket(id, None, Some(address), SocketData::default()));
        }
        let (_, calls) = counters.connections().into_iter().find(|(number, _)| *number == id)?;
        let tally = Tally { begun: calls.begun(), failed: 0, running: calls.running() as u64 };
        let local = listens.map(|(_, address)| address);
        Some(socket(id, calls.peer(), local, traffic(tally, calls.facts())))
    })
}

/// What goes over a connection: a stream succeeds unless it is reset.
fn traffic(tally: Tally, facts: &WireFacts) -> SocketData {
    let failed = facts.resets_read() + facts.resets_written();
    SocketData {
        streams_started: number(tally.begun),
        streams_succeeded: number(Tally { failed, ..tally }.succeeded()),
        streams_failed: number(failed),
        ..SocketData::default()
    }
}

fn socket(id: u64, peer: Option<&Peer>, local: Option<&PeerAddr>, data: SocketData) -> Socket {
    let tls = peer.filter(|peer| peer.is_tls()).map(|peer| securities::Tls {
        remote_certificate: peer.tls_identity().map(|one| one.leaf().to_vec()).unwrap_or_default(),
        ..securities::Tls::default()
    });
    Socket {
        r#ref: Some(socket_ref(id, peer.map(Peer::addr).or(local))),
        data: Some(data),
        local: local.map(address),
        remote: peer.map(|peer| address(peer.addr())),
        security: tls.map(|tls| Security { model: Some(securities::Model::Tls(tls)) }),
        remote_name: String::new(),
    }
}

fn address(address: &PeerAddr) -> proto::Address {
    use addresses::{Address, OtherAddress, TcpIpAddress, UdsAddress};
    let address = match address {
        PeerAddr::Tcp(address) => {
            let ip_address = match address.ip() {
                IpAddr::V4(ip) => ip.octets().to_vec(),
                IpAddr::V6(ip) => ip.octets().to_vec(),
            };
            Address::TcpipAddress(TcpIpAddress { ip_address, port: address.port().into() })
        }
        PeerAddr::Unix(path) => {
            let filename = path.as_ref().map(|path| path.display().to_string()).unwrap_or_default();
            Address::UdsAddress(UdsAddress { filename })
        }
        PeerAddr::InProcess | PeerAddr::Custom => {
            Address::OtherAddress(OtherAddress { name: address.to_string(), value: None })
        }
    };
    proto::Address { address: Some(address) }
}

#[cfg(test)]
mod tests;
