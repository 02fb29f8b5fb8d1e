//! Server reflection: a server tells its services and their descriptors to tools that have no generated code
//! (`grpc.reflection.v1`, and `v1alpha`, which older tools speak).

mod index;

use std::fmt::Display;

use bytes::Bytes;

use super::grpc::reflection::v1::server_reflection_request::MessageRequest;
use super::grpc::reflection::v1::server_reflection_response::MessageResponse;
use super::grpc::reflection::v1::{
    self, ErrorResponse, ExtensionNumberResponse, ExtensionRequest, FileDescriptorResponse,
    ListServiceResponse, ServerReflection, ServerReflectionRequest, ServerReflectionResponse,
    ServerReflectionServer, ServiceResponse,
};
use super::grpc::{channelz, health, reflection::v1alpha};
use crate::server::{Handler, Host, Service};
use crate::transport::limits::BadOption;
use crate::{Code, Context, Sending, ServerBuilder, Status, Streaming};
use index::Index;

/// Those of the services that come with the engine.
const OWN: [&[u8]; 4] = [
    health::v1::FILE_DESCRIPTOR_SET,
    v1::FILE_DESCRIPTOR_SET,
    v1alpha::FILE_DESCRIPTOR_SET,
    channelz::v1::FILE_DESCRIPTOR_SET,
];

impl ServerBuilder {
    /// Serves reflection: the names of all services, and what `descriptors` say of them. Each is an encoded
    /// `google.protobuf.FileDescriptorSet`, such as the `FILE_DESCRIPTOR_SET` of a generated package. Those of the services
    /// that come with the engine are there already.
    ///
    /// ```
    /// # mod shop { pub const FILE_DESCRIPTOR_SET: &[u8] = b""; }
    /// let builder = spanwire::Server::builder().reflection([shop::FILE_DESCRIPTOR_SET]);
    /// ```
    ///
    /// Descriptors that are none are an error of [`bind`](ServerBuilder::bind).
    pub fn reflection<D: Into<Bytes>>(self, descriptors: impl IntoIterator<Item = D>) -> Self {
        let descriptors: Vec<Bytes> = descriptors.into_iter().map(Into::into).collect();
        self.built_in(Box::new(|host| {
            let mut index = Index::default();
            for set in descriptors.into_iter().chain(OWN.map(Bytes::from_static)) {
                index.add(set).map_err(|error| BadOption {
                    setting: "reflection",
                    value: error.to_string(),
                    reason: "it is no google.protobuf.FileDescriptorSet",
                })?;
            }
            let service = ServerReflectionServer::new(Reflection { index, host: host.clone() });
            Ok(vec![Box::new(Alpha(service.clone())), Box::new(service)])
        }))
    }
}

/// The same methods under the older name.
struct Alpha(ServerReflectionServer<Reflection>);

impl Service for Alpha {
    fn name(&self) -> &'static str {
        v1alpha::server_reflection_methods::SERVICE_NAME
    }

    fn methods(&self) -> Vec<(&'static str, Handler)> {
        self.0.methods()
    }
}

struct Reflection {
    index: Index,
    host: Host,
}

impl ServerReflection for Reflection {
    async fn server_reflection_info(
        &self,
        requests: &mut Streaming<ServerReflectionRequest>,
        replies: &mut Sending<ServerReflectionResponse>,
        _context: &mut Context,
    ) -> Result<(), Status> {
        let mut sent = Vec::new();
        loop {
            let request = tokio::select! {
                biased;
                request = requests.next() => request?,
                // A tool may be left open for hours.
                () = self.host.shutdown.drain.cancelled() => return Err(Host::shuts_down()),
            };
            let Some(request) = request else { return Ok(()) };
            let answer = self.answer(&request, &mut sent);
            let valid_host = request.host.clone();
            let (original_request, message_response) = (Some(request), Some(answer));
            replies.send(ServerReflectionResponse { valid_host, original_request, message_response }).await?;
        }
    }
}

impl Reflection {
    /// `sent`: the files that the stream has told before.
    fn answer(&self, request: &ServerReflectionRequest, sent: &mut Vec<bool>) -> MessageResponse {
        let index = &self.index;
        match &request.message_request {
            None => failed(Code::InvalidArgument, "the request asks nothing".to_owned()),
            Some(MessageRequest::ListServices(_)) => self.services(),
            Some(MessageRequest::AllExtensionNumbersOfType(name)) => self.extension_numbers(name),
            Some(MessageRequest::FileByFilename(name)) => self.file(index.file(name), name, sent),
            Some(MessageRequest::FileContainingSymbol(name)) => {
                self.file(index.file_with_symbol(name), name, sent)
            }
            Some(MessageRequest::FileContainingExtension(extension)) => {
                let ExtensionRequest { containing_type, extension_number } = extension;
                let file = index.file_with_extension(containing_type, *extension_number);
                self.file(file, &format!("extension {extension_number} of {containing_type}"), sent)
            }
        }
    }

    fn file(&self, file: Option<usize>, what: &dyn Display, sent: &mut Vec<bool>) -> MessageResponse {
        match file {
            Some(file) => MessageResponse::FileDescriptorResponse(FileDescriptorResponse {
                file_descriptor_proto: self.index.with_imports(file, sent),
            }),
            None => failed(Code::NotFound, format!("there is no descriptor of {what}")),
        }
    }

    fn extension_numbers(&self, name: &str) -> MessageResponse {
        match self.index.extension_numbers(name) {
            Some(extension_number) => MessageResponse::AllExtensionNumbersResponse(ExtensionNumberResponse {
                base_type_name: name.to_owned(),
                extension_number,
            }),
            None => failed(Code::NotFound, format!("there is no descriptor of {name}")),
        }
    }

    fn services(&self) -> MessageResponse {
        let services = self.host.services().iter().map(|name| ServiceResponse { name: name.clone() });
        MessageResponse::ListServicesResponse(ListServiceResponse { service: services.collect() })
    }
}

fn failed(code: Code, error_message: String) -> MessageResponse {
    MessageResponse::ErrorResponse(ErrorResponse { error_code: code as i32, error_message })
}

#[cfg(test)]
mod tests;
