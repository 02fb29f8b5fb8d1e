use prost::Message;
use prost_types::field_descriptor_proto::Type;
use prost_types::{
    DescriptorProto, EnumDescriptorProto, EnumValueDescriptorProto, FieldDescriptorProto,
    FileDescriptorProto, FileDescriptorSet, MethodDescriptorProto, OneofDescriptorProto,
    ServiceDescriptorProto,
};

use super::super::grpc::reflection::v1::ServerReflectionClient;
use super::super::grpc::reflection::v1alpha::ServerReflectionClient as AlphaClient;
use super::*;
use crate::middleware::{Call, Next};
use crate::{Channel, Duplex, Health, Server, ServerHandle};

type Stream = Duplex<ServerReflectionRequest, ServerReflectionResponse>;

fn field(name: &str, number: i32) -> FieldDescriptorProto {
    let (name, number, r#type) = (Some(name.to_owned()), Some(number), Some(Type::Int32.into()));
    FieldDescriptorProto { name, number, r#type, ..Default::default() }
}

fn values(name: &str, value: &str) -> EnumDescriptorProto {
    let value = EnumValueDescriptorProto { name: Some(value.to_owned()), number: Some(0), options: None };
    EnumDescriptorProto { name: Some(name.to_owned()), value: vec![value], ..Default::default() }
}

/// Orders import stock and money, and stock imports money.
fn shop() -> Vec<u8> {
    let extension = |name, number| FieldDescriptorProto {
        extendee: Some(".shop.Order".to_owned()),
        ..field(name, number)
    };
    let money = FileDescriptorProto {
        name: Some("money.proto".to_owned()),
        enum_type: vec![values("Currency", "EURO")],
        ..Default::default()
    };
    let stock = FileDescriptorProto {
        name: Some("stock.proto".to_owned()),
        package: Some("shop".to_owned()),
        dependency: vec!["money.proto".to_owned(), "lost.proto".to_owned()],
        extension: vec![extension("shelf", 101)],
        message_type: vec![DescriptorProto {
            name: Some("Place".to_owned()),
            extension: vec![extension("place", 100)],
            ..Default::default()
        }],
        ..Default::default()
    };
    let line = DescriptorProto {
        name: Some("Line".to_owned()),
        enum_type: vec![values("Size", "LARGE")],
        ..Default::default()
    };
    let orders = FileDescriptorProto {
        name: Some("orders.proto".to_owned()),
        package: Some("shop".to_owned()),
        dependency: vec!["stock.proto".to_owned(), "money.proto".to_owned()],
        message_type: vec![DescriptorProto {
            name: Some("Order".to_owned()),
            field: vec![field("id", 1)],
            nested_type: vec![line],
            oneof_decl: vec![OneofDescriptorProto { name: Some("payment".to_owned()), options: None }],
            ..Default::default()
        }],
        service: vec![ServiceDescriptorProto {
            name: Some("Orders".to_owned()),
            method: vec![MethodDescriptorProto { name: Some("Get".to_owned()), ..Default::default() }],
            ..Default::default()
        }],
        ..Default::default()
    };
    FileDescriptorSet { file: vec![money, stock, orders] }.encode_to_vec()
}

async fn serve(name: &str, builder: ServerBuilder) -> (ServerHandle, Channel) {
    let address = format!("inprocess:{name}");
    let server = builder.bind(&address).await.unwrap();
    let handle = server.handle();
    tokio::spawn(server.run());
    (handle, Channel::new(&address).unwrap())
}

async fn ask(stream: &mut Stream, asked: MessageRequest) -> MessageResponse {
    let request = ServerReflectionRequest { host: "here".to_owned(), message_request: Some(asked) };
    stream.send(request.clone()).await.unwrap();
    let answer = stream.next().await.unwrap().unwrap();
    assert_eq!((answer.valid_host.as_str(), answer.original_request), ("here", Some(request)));
    answer.message_response.unwrap()
}

/// The names of the files of an answer; or its error.
fn files(answer: MessageResponse) -> Result<Vec<String>, (i32, String)> {
    match answer {
        MessageResponse::FileDescriptorResponse(response) => {
            let name = |file: &Bytes| FileDescriptorProto::decode(file.clone()).unwrap().name().to_owned();
            Ok(response.file_descriptor_proto.iter().map(name).collect())
        }
        MessageResponse::ErrorResponse(error) => Err((error.error_code, error.error_message)),
        other => panic!("{other:?}"),
    }
}

fn symbol(name: &str) -> MessageRequest {
    MessageRequest::FileContainingSymbol(name.to_owned())
}

fn file(name: &str) -> MessageRequest {
    MessageRequest::FileByFilename(name.to_owned())
}

fn extension(number: i32) -> MessageRequest {
    let containing_type = "shop.Order".to_owned();
    MessageRequest::FileContainingExtension(ExtensionRequest { containing_type, extension_number: number })
}

#[tokio::test]
async fn services_are_those_that_the_server_has() {
    let builder = Server::builder().reflection([shop()]).health(&Health::new());
    let (_server, channel) = serve("reflection-list", builder).await;
    let mut stream = ServerReflectionClient::new(channel).server_reflection_info().await.unwrap();
    let answer = ask(&mut stream, MessageRequest::ListServices(String::new())).await;
    let MessageResponse::ListServicesResponse(listed) = answer else { panic!("{answer:?}") };
    let names: Vec<_> = listed.service.iter().map(|service| service.name.as_str()).collect();
    // Of what is described nothing is served but this.
    let reflection = ["grpc.reflection.v1.ServerReflection", "grpc.reflection.v1alpha.ServerReflection"];
    assert_eq!(names, ["grpc.health.v1.Health", reflection[0], reflection[1]]);
    // All of them can be described.
    for name in names {
        assert!(files(ask(&mut stream, symbol(name)).await).is_ok(), "{name}");
    }
}

#[tokio::test]
async fn symbols_of_every_sort_are_found() {
    let (_server, channel) = serve("reflection-symbols", Server::builder().reflection([shop()])).await;
    for (name, found) in [
        ("shop.Orders", "orders.proto"),
        ("shop.Orders.Get", "orders.proto"),
        ("shop.Order", "orders.proto"),
        ("shop.Order.id", "orders.proto"),
        ("shop.Order.payment", "orders.proto"),
        ("shop.Order.Line", "orders.proto"),
        ("shop.Order.Line.Size", "orders.proto"),
        ("shop.Order.Line.LARGE", "orders.proto"),
        ("shop.shelf", "stock.proto"),
        ("shop.Place.place", "stock.proto"),
        ("Currency", "money.proto"),
        ("EURO", "money.proto"),
    ] {
        let client = ServerReflectionClient::new(channel.clone());
        let mut stream = client.server_reflection_info().await.unwrap();
        assert_eq!(files(ask(&mut stream, symbol(name)).await).unwrap()[0], found, "{name}");
    }
}

#[tokio::test]
async fn files_come_with_all_that_they_import_once_on_a_stream() {
    let (_server, channel) = serve("reflection-files", Server::builder().reflection([shop()])).await;
    let mut stream = ServerReflectionClient::new(channel).server_reflection_info().await.unwrap();
    assert_eq!(files(ask(&mut stream, file("stock.proto")).await).unwrap(), ["stock.proto", "money.proto"]);
    assert_eq!(files(ask(&mut stream, file("orders.proto")).await).unwrap(), ["orders.proto"]);
    assert_eq!(files(ask(&mut stream, file("orders.proto")).await).unwrap(), ["orders.proto"]);
    assert_eq!(files(ask(&mut stream, extension(101)).await).unwrap(), ["stock.proto"]);
}

#[tokio::test]
async fn extensions_are_found_by_number_and_listed() {
    let (_server, channel) = serve("reflection-extensions", Server::builder().reflection([shop()])).await;
    let mut stream = ServerReflectionClient::new(channel).server_reflection_info().await.unwrap();
    assert_eq!(files(ask(&mut stream, extension(100)).await).unwrap()[0], "stock.proto");
    let mut numbers =
        async |name: &str| match ask(&mut stream, MessageRequest::AllExtensionNumbersOfType(name.to_owned()))
            .await
        {
            MessageResponse::AllExtensionNumbersResponse(response) => {
                assert_eq!(response.base_type_name, name);
                Ok(response.extension_number)
            }
            other => Err(files(other).unwrap_err().0),
        };
    assert_eq!(numbers("shop.Order").await, Ok(vec![100, 101]));
    assert_eq!(numbers("shop.Place").await, Ok(vec![]));
    assert_eq!(numbers("shop.Orders").await, Err(5));
}

#[tokio::test]
async fn questions_without_an_answer_get_an_error_and_the_stream_goes_on() {
    let (_server, channel) = serve("reflection-errors", Server::builder().reflection([shop()])).await;
    let mut stream = ServerReflectionClient::new(channel).server_reflection_info().await.unwrap();
    for (asked, what) in [
        (file("lost.proto"), "lost.proto"),
        (symbol("shop.Nothing"), "shop.Nothing"),
        (extension(7), "extension 7 of shop.Order"),
    ] {
        let error = files(ask(&mut stream, asked).await).unwrap_err();
        assert_eq!(error, (Code::NotFound as i32, format!("there is no descriptor of {what}")));
    }
    stream.send(ServerReflectionRequest::default()).await.unwrap();
    let answer = stream.next().await.unwrap().unwrap().message_response.unwrap();
    assert_eq!(files(answer).unwrap_err().0, Code::InvalidArgument as i32);
    assert!(files(ask(&mut stream, symbol("shop.Order")).await).is_ok());
}

#[tokio::test]
async fn older_tools_are_answered_the_same() {
    let (_server, channel) = serve("reflection-alpha", Server::builder().reflection([shop()])).await;
    let mut stream = AlphaClient::new(channel).server_reflection_info().await.unwrap();
    let asked = v1alpha::server_reflection_request::MessageRequest::FileByFilename("money.proto".to_owned());
    let request = v1alpha::ServerReflectionRequest { message_request: Some(asked), ..Default::default() };
    stream.send(request).await.unwrap();
    let answer = stream.next().await.unwrap().unwrap().message_response.unwrap();
    let v1alpha::server_reflection_response::MessageResponse::FileDescriptorResponse(found) = answer else {
        panic!("{answer:?}")
    };
    assert_eq!(found.file_descriptor_proto.len(), 1);
}

#[tokio::test]
async fn calls_go_through_the_interceptors_of_the_server() {
    let deny = |_: Call, _: Next| async { Err(Status::permission_denied("nobody")) };
    let builder = Server::builder().interceptor(deny).reflection([shop()]);
    let (_server, channel) = serve("reflection-intercepted", builder).await;
    let mut stream = ServerReflectionClient::new(channel).server_reflection_info().await.unwrap();
    assert_eq!(stream.next().await.unwrap_err().code(), Code::PermissionDenied);
}

#[tokio::test(start_paused = true)]
async fn open_tools_keep_no_server_from_ending() {
    let (server, channel) = serve("reflection-drain", Server::builder().reflection([shop()])).await;
    let mut stream = ServerReflectionClient::new(channel).server_reflection_info().await.unwrap();
    assert!(files(ask(&mut stream, symbol("shop.Order")).await).is_ok());
    let began = tokio::time::Instant::now();
    let shutdown = tokio::spawn(async move { server.shutdown(std::time::Duration::from_secs(60)).await });
    assert_eq!(stream.next().await.unwrap_err().code(), Code::Unavailable);
    shutdown.await.unwrap();
    assert!(began.elapsed().as_secs() < 2, "{:?}", began.elapsed());
}

#[tokio::test]
async fn descriptors_that_are_none_are_refused_when_it_is_bound() {
    let refused =
        Server::builder().reflection([b"\xff\xff".as_slice()]).bind("inprocess:reflection-none").await;
    let text = refused.unwrap_err().to_string();
    assert!(text.starts_with("reflection: "), "{text}");
    assert!(text.ends_with("it is no google.protobuf.FileDescriptorSet"), "{text}");
}
