// Descriptors for reflection, from libprotobuf. Include it beside <spanwire.hpp>.
#pragma once

#include <google/protobuf/descriptor.h>
#include <google/protobuf/descriptor.pb.h>

#include <initializer_list>
#include <set>
#include <string>

namespace spanwire {

namespace detail {

inline void add_file(const google::protobuf::FileDescriptor *file, std::set<std::string> &known,
                     google::protobuf::FileDescriptorSet &set) {
  if (file == nullptr || !known.insert(std::string(file->name())).second) return;
  file->CopyTo(set.add_file());
  for (int i = 0; i < file->dependency_count(); i++) add_file(file->dependency(i), known, set);
}

}  // namespace detail

/// What server_options::reflection wants: these files and all that they import, encoded. The file of a message is
/// `Message::descriptor()->file()`.
inline std::string describe(std::initializer_list<const google::protobuf::FileDescriptor *> files) {
  google::protobuf::FileDescriptorSet set;
  std::set<std::string> known;
  for (const google::protobuf::FileDescriptor *file : files) detail::add_file(file, known, set);
  return set.SerializeAsString();
}

}  // namespace spanwire
