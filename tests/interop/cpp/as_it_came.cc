#include "as_it_came.h"

#include <google/protobuf/io/gzip_stream.h>
#include <google/protobuf/io/zero_copy_stream_impl_lite.h>

#include <string>
#include <vector>

Arrived ParseAsItCame(const grpc::ByteBuffer &bytes, google::protobuf::MessageLite &message) {
  // Empty messages have no slice.
  std::vector<grpc::Slice> slices;
  if (bytes.Valid() && !bytes.Dump(&slices).ok()) return {};
  std::string whole;
  whole.reserve(bytes.Length());
  for (const grpc::Slice &slice : slices) whole.append(reinterpret_cast<const char *>(slice.begin()), slice.size());
  // The magic number of gzip. No message begins with it: its first byte would be a field of a kind that is not.
  if (whole.compare(0, 2, "\x1f\x8b") != 0) return {message.ParseFromString(whole), false};
  google::protobuf::io::ArrayInputStream compressed(whole.data(), static_cast<int>(whole.size()));
  google::protobuf::io::GzipInputStream plain(&compressed, google::protobuf::io::GzipInputStream::GZIP);
  const bool parsed = message.ParseFromZeroCopyStream(&plain) && plain.ZlibErrorMessage() == nullptr;
  return {parsed, true};
}

grpc::ByteBuffer ToBytes(const google::protobuf::MessageLite &message) {
  const grpc::Slice slice(message.SerializeAsString());
  return {&slice, 1};
}
