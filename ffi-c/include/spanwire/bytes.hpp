// Messages as bytes: `bytes` owns and shares them, `buffer` is what is about to be sent.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstring>
#include <span>
#include <string_view>
#include <vector>

#include "base.hpp"

namespace spanwire {

namespace detail {

/// Counts who uses an owned container; the engine releases its share from any thread.
struct holder {
  std::atomic<std::uint32_t> references{1};
  void (*destroy)(holder *) noexcept;

  explicit holder(void (*destroy_it)(holder *) noexcept) noexcept : destroy(destroy_it) {}

  void share() noexcept { references.fetch_add(1, std::memory_order_relaxed); }
  static void release(void *context) noexcept {
    auto *self = static_cast<holder *>(context);
    if (self != nullptr && self->references.fetch_sub(1, std::memory_order_acq_rel) == 1) self->destroy(self);
  }
};

template <class Container>
struct container_holder final : holder {
  Container container;

  explicit container_holder(Container &&from) noexcept
      : holder([](holder *self) noexcept { delete static_cast<container_holder *>(self); }),
        container(std::move(from)) {}
};

}  // namespace detail

/// A message: bytes that are owned, never change and are shared by its copies. What was received is the engine's
/// own memory, without a copy; a std::string or std::vector is taken over. Copying costs a count, not the bytes.
/// Copies may be used and destroyed on different threads. A moved-from one is empty.
class bytes {
 public:
  /// No bytes.
  bytes() noexcept = default;
  /// Takes a string over.
  bytes(std::string &&text) { adopt(std::move(text)); }
  /// Takes a vector over.
  bytes(std::vector<std::byte> &&data) { adopt(std::move(data)); }
  /// Takes bytes of the C API over, as spanwire_bytes_take gives them.
  explicit bytes(spanwire_bytes taken) noexcept : raw_(taken) {}

  bytes(const bytes &other) noexcept : raw_(other.raw_), holder_(other.holder_) {
    if (holder_ != nullptr) {
      holder_->share();
    } else if (raw_.data != nullptr) {
      raw_ = spanwire_bytes_clone(&other.raw_);
    }
  }
  bytes(bytes &&other) noexcept
      : raw_(std::exchange(other.raw_, spanwire_bytes{})), holder_(std::exchange(other.holder_, nullptr)) {}
  bytes &operator=(bytes other) noexcept {
    std::swap(raw_, other.raw_);
    std::swap(holder_, other.holder_);
    return *this;
  }
  ~bytes() {
    if (holder_ != nullptr) {
      detail::holder::release(holder_);
    } else if (raw_.data != nullptr) {
      spanwire_bytes_free(&raw_);
    }
  }

  /// A copy of `data`.
  static bytes copy(std::span<const std::byte> data) {
    return bytes(std::vector<std::byte>(data.begin(), data.end()));
  }
  /// A copy of `text`.
  static bytes copy(std::string_view text) { return bytes(std::string(text)); }

  /// The first byte; may be null if there is none.
  const std::byte *data() const noexcept { return reinterpret_cast<const std::byte *>(raw_.data); }
  /// How many bytes there are.
  std::size_t size() const noexcept { return raw_.len; }
  /// Whether there are none.
  bool empty() const noexcept { return raw_.len == 0; }
  const std::byte *begin() const noexcept { return data(); }
  const std::byte *end() const noexcept { return data() + size(); }
  /// The bytes, borrowed.
  std::span<const std::byte> span() const noexcept { return {data(), size()}; }
  operator std::span<const std::byte>() const noexcept { return span(); }
  /// The bytes as text, borrowed.
  std::string_view view() const noexcept { return {reinterpret_cast<const char *>(raw_.data), raw_.len}; }
  /// Whether the message came compressed; the bytes here never are.
  bool compressed() const noexcept { return (raw_.flags & SPANWIRE_BYTES_COMPRESSED) != 0; }

  /// Whether both hold the same bytes.
  friend bool operator==(const bytes &a, const bytes &b) noexcept { return a.view() == b.view(); }

 private:
  friend class buffer;

  template <class Container>
  void adopt(Container &&container) {
    auto *held = new detail::container_holder<Container>(std::move(container));
    raw_.data = reinterpret_cast<const std::uint8_t *>(held->container.data());
    raw_.len = held->container.size();
    holder_ = held;
  }

  // With a holder, `raw_` only says where the bytes are; without one it owns them.
  spanwire_bytes raw_{};
  detail::holder *holder_ = nullptr;
};

/// Bytes on their way out: what the functions that send take. Made from something that stays the caller's, it
/// borrows, and the engine copies it when it is sent: it must live until then, that is until the `co_await` or the
/// blocking call is over. Made from a container that is moved in, or from `bytes`, it owns them, and the engine
/// takes them over without a copy unless they are few. Move-only; a moved-from one is empty.
class buffer {
 public:
  /// An empty message.
  buffer() noexcept = default;
  /// Borrows.
  buffer(std::span<const std::byte> data) noexcept : data_(data.data()), size_(data.size()) {}
  /// Borrows.
  buffer(std::string_view text) noexcept : data_(text.data()), size_(text.size()) {}
  /// Borrows a C string, without its NUL.
  buffer(const char *text) noexcept : buffer(std::string_view(text)) {}
  /// Borrows.
  buffer(const std::string &text) noexcept : buffer(std::string_view(text)) {}
  /// Borrows.
  buffer(const std::vector<std::byte> &data) noexcept : buffer(std::span<const std::byte>(data)) {}
  /// Takes the string over.
  buffer(std::string &&text) : buffer(bytes(std::move(text))) {}
  /// Takes the vector over.
  buffer(std::vector<std::byte> &&data) : buffer(bytes(std::move(data))) {}
  /// Takes a share of the message.
  buffer(bytes message) : data_(message.data()), size_(message.size()) {
    if (message.holder_ != nullptr) {
      owner_ = std::exchange(message.holder_, nullptr);
      message.raw_ = {};
    } else if (size_ != 0) {
      owner_ = new detail::container_holder<bytes>(std::move(message));
    }
  }

  buffer(buffer &&other) noexcept
      : data_(std::exchange(other.data_, nullptr)),
        size_(std::exchange(other.size_, 0)),
        flags_(std::exchange(other.flags_, 0)),
        owner_(std::exchange(other.owner_, nullptr)) {}
  buffer &operator=(buffer other) noexcept {
    std::swap(data_, other.data_);
    std::swap(size_, other.size_);
    std::swap(flags_, other.flags_);
    std::swap(owner_, other.owner_);
    return *this;
  }
  ~buffer() { detail::holder::release(owner_); }

  /// Says that this one message is not compressed, whatever the call says.
  buffer &&plain() &&noexcept {
    flags_ |= SPANWIRE_SEND_PLAIN;
    return std::move(*this);
  }
  /// How many bytes there are.
  std::size_t size() const noexcept { return size_; }

  /// From how many bytes on it pays to hand them over; below, a copy costs less.
  static constexpr std::size_t handover_bytes = 8192;

  /// For a function of the C API, which must be called with it exactly once, while this lives.
  spanwire_buffer take(std::uint32_t flags = 0) &noexcept {
    spanwire_buffer taken{};
    taken.data = data_;
    taken.len = size_;
    taken.flags = flags_ | flags;
    if (owner_ != nullptr && size_ >= handover_bytes) {
      taken.release = detail::holder::release;
      taken.context = std::exchange(owner_, nullptr);
    }
    return taken;
  }

 private:
  const void *data_ = nullptr;
  std::size_t size_ = 0;
  std::uint32_t flags_ = 0;
  detail::holder *owner_ = nullptr;
};

}  // namespace spanwire
