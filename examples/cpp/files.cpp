// Files of any size, in small messages.
//
//   build/files server 127.0.0.1:50053 FOLDER
//   build/files upload 127.0.0.1:50053 photo.jpg
//   build/files download 127.0.0.1:50053 photo.jpg copy.jpg
#include <cstdio>
#include <filesystem>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "common.hpp"
#include "files/v1/files.spanwire.hpp"

namespace fs = std::filesystem;
using files::v1::DownloadRequest;
using files::v1::Piece;
using files::v1::Stored;
using files::v1::UploadPart;
using spanwire::code;
using spanwire::status;

// Bytes in one message: large enough to cost little, small enough to let other calls pass.
constexpr std::size_t piece_bytes = 64 * 1024;

struct Close {
  void operator()(std::FILE *file) const { std::fclose(file); }
};
using File = std::unique_ptr<std::FILE, Close>;

// The next bytes; fewer than a piece only at the end.
std::string next_piece(std::FILE *file) {
  std::string piece(piece_bytes, '\0');
  piece.resize(std::fread(piece.data(), 1, piece.size(), file));
  return piece;
}

// ---- server: one loop, which a disk that is slow would hold up; a real one hands files to other threads ----

// A file that is not complete yet. Its end removes it, and that is what happens to the handler of a call that the
// client gives up.
struct Unfinished {
  fs::path path;
  File file;

  explicit Unfinished(fs::path at) : path(std::move(at)), file(std::fopen(path.c_str(), "wbxe")) {}
  Unfinished(const Unfinished &) = delete;
  Unfinished &operator=(const Unfinished &) = delete;
  ~Unfinished() {
    std::error_code gone_already;
    if (file) fs::remove(path, gone_already);
  }
};

status in_storage(int error) {
  if (error == ENOENT) return {code::not_found, "there is no such file"};
  if (error == EEXIST) return {code::aborted, "the same file is being uploaded already"};
  // What went wrong inside is no business of the client's.
  std::cerr << "storage: " << std::error_code(error, std::generic_category()).message() << '\n';
  return {code::internal, "the storage failed"};
}

class Folder final : public files::v1::FilesService {
 public:
  explicit Folder(fs::path path) : path_(std::move(path)) {}

 private:
  spanwire::task<spanwire::result<Stored>> Upload(spanwire::reader_of<UploadPart> &requests,
                                                  spanwire::context &) override {
    auto first = co_await requests.next();
    if (!first || first->part_case() != UploadPart::kName) {
      co_return status(code::invalid_argument, "the first part is not the name");
    }
    if (status plain = check(first->name()); !plain) co_return plain;
    Unfinished unfinished(path_ / ("." + first->name() + ".part"));
    if (!unfinished.file) co_return in_storage(errno);
    Stored stored;
    stored.set_name(first->name());
    while (auto part = co_await requests.next()) {
      if (part->part_case() != UploadPart::kData) {
        co_return status(code::invalid_argument, "a part after the first has no data");
      }
      const std::string &data = part->data();
      if (std::fwrite(data.data(), 1, data.size(), unfinished.file.get()) != data.size())
        co_return in_storage(errno);
      stored.set_size(stored.size() + data.size());
    }
    // Only a client that has sent everything may have its file.
    if (!requests.status()) co_return requests.status();
    if (std::fflush(unfinished.file.get()) != 0) co_return in_storage(errno);
    std::error_code failed;
    fs::rename(unfinished.path, path_ / stored.name(), failed);
    if (failed) co_return in_storage(failed.value());
    std::cout << "stored " << stored.name() << ", " << stored.size() << " bytes" << std::endl;
    co_return stored;
  }

  spanwire::task<status> Download(DownloadRequest request, spanwire::writer_of<Piece> &replies,
                                  spanwire::context &context) override {
    if (status plain = check(request.name()); !plain) co_return plain;
    fs::path path = path_ / request.name();
    File file(std::fopen(path.c_str(), "rbe"));
    if (!file) co_return in_storage(errno);
    std::error_code failed;
    context.headers().append("file-size", std::to_string(fs::file_size(path, failed)));
    if (failed) co_return in_storage(failed.value());
    if (status sent = context.send_headers(); !sent) co_return sent;
    if (std::fseek(file.get(), static_cast<long>(request.offset()), SEEK_SET) != 0) co_return in_storage(errno);
    for (;;) {
      Piece piece;
      piece.set_data(next_piece(file.get()));
      if (std::ferror(file.get())) co_return in_storage(errno);
      if (piece.data().empty()) co_return status();
      // Waits while the client is slow, so that memory stays bounded.
      if (status sent = co_await replies.send(piece); !sent) co_return sent;
    }
  }

  // Whether it is a name, and not a way out of the folder.
  static status check(const std::string &name) {
    bool plain = !name.empty() && name[0] != '.' && name.find('/') == std::string::npos;
    if (plain) return {};
    return {code::invalid_argument, "\"" + name + "\" is no plain file name"};
  }

  fs::path path_;
};

int server(const char *address, const char *path) {
  Folder folder(path);
  spanwire::loop loop;
  spanwire::server server({.address = address});
  if (status added = folder.register_with(server); !added) return outcome(added);
  return serve(server, loop);
}

// ---- client: calls on this thread, without a loop ----

int failed(const fs::path &path) {
  std::perror(path.c_str());
  return 1;
}

int upload(const char *target, const fs::path &path) {
  File file(std::fopen(path.c_str(), "rbe"));
  if (!file) return failed(path);
  spanwire::channel channel(target);
  auto call = files::v1::FilesClient(channel).UploadBlocking();
  UploadPart part;
  part.set_name(path.filename().string());
  status sent = call.send(part);
  // A failure means that the call is over; its response says why. Leaving early cancels the call: the server never
  // takes a part for the whole.
  while (sent) {
    std::string piece = next_piece(file.get());
    if (std::ferror(file.get())) return failed(path);
    if (piece.empty()) break;
    part.set_data(std::move(piece));
    sent = call.send(part);
  }
  auto stored = call.response();
  if (stored) std::cout << "uploaded " << stored->name() << ", " << stored->size() << " bytes\n";
  return outcome(stored.status());
}

int download(const char *target, const char *name, const fs::path &path) {
  // What an earlier download left is not asked for again.
  File file(std::fopen(path.c_str(), "abe"));
  if (!file || std::fseek(file.get(), 0, SEEK_END) != 0) return failed(path);
  DownloadRequest request;
  request.set_name(name);
  request.set_offset(static_cast<std::uint64_t>(std::ftell(file.get())));
  spanwire::channel channel(target);
  auto call = files::v1::FilesClient(channel).DownloadBlocking(request);
  if (auto headers = call.headers(); headers && headers->contains("file-size")) {
    std::cout << "downloading bytes " << request.offset() << " to " << *headers->find("file-size") << '\n';
  }
  for (Piece &piece : call.messages()) {
    const std::string &data = piece.data();
    if (std::fwrite(data.data(), 1, data.size(), file.get()) != data.size()) return failed(path);
  }
  status ended = call.finish();
  if (std::fflush(file.get()) != 0) return failed(path);
  if (ended) std::cout << "downloaded " << path.string() << '\n';
  return outcome(ended);
}

int main(int argc, char **argv) {
  std::vector<std::string_view> arguments(argv + 1, argv + argc);
  if (arguments.size() == 3 && arguments[0] == "server") return server(argv[2], argv[3]);
  if (arguments.size() == 3 && arguments[0] == "upload") return upload(argv[2], argv[3]);
  if (arguments.size() == 4 && arguments[0] == "download") return download(argv[2], argv[3], argv[4]);
  std::cerr << "usage: files server ADDRESS FOLDER | upload TARGET FILE | download TARGET NAME FILE\n";
  return 1;
}
