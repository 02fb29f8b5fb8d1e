// Metadata: ordered pairs of a key and a value, with keys that may repeat.
#pragma once

#include <initializer_list>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base.hpp"

namespace spanwire {

/// Headers or trailers of a call, owned and in order. Keys are lower case; those that end in "-bin" have values of
/// any bytes, which are encoded and decoded by the engine. A key or value that HTTP/2 cannot carry makes the call
/// or answer that it is used for fail with INVALID_ARGUMENT.
class metadata {
 public:
  /// One pair.
  struct entry {
    /// In lower case.
    std::string key;
    /// Text, or bytes for keys that end in "-bin".
    std::string value;
    friend bool operator==(const entry &, const entry &) = default;
  };
  /// One pair, borrowed.
  struct lent_entry {
    /// As of an entry.
    std::string_view key, value;
  };

  /// No pairs.
  metadata() = default;
  /// The pairs, in this order.
  metadata(std::initializer_list<lent_entry> entries) {
    for (const lent_entry &each : entries) append(each.key, each.value);
  }
  /// Copies what the C API lends; null is empty.
  explicit metadata(const spanwire_metadata *borrowed) {
    std::size_t count = borrowed != nullptr ? spanwire_metadata_count(borrowed) : 0;
    entries_->reserve(count);
    spanwire_metadata_entry each{};
    for (std::size_t index = 0; index < count && spanwire_metadata_at(borrowed, index, &each); ++index) {
      entries_->push_back({each.key, std::string(static_cast<const char *>(each.value), each.value_len)});
    }
  }

  /// Adds a pair at the end, beside others with its key. Returns itself.
  metadata &append(std::string_view key, std::string_view value) {
    entries_->push_back({std::string(key), std::string(value)});
    return *this;
  }
  /// Adds a binary value; the key ends in "-bin".
  metadata &append(std::string_view key, std::span<const std::byte> value) {
    return append(key, std::string_view(reinterpret_cast<const char *>(value.data()), value.size()));
  }
  /// Removes all pairs with this key; returns how many there were.
  std::size_t erase(std::string_view key) {
    return std::erase_if(*entries_, [key](const entry &each) { return each.key == key; });
  }

  /// The value of this key, borrowed; `nth` counts those that have the same key, from 0.
  std::optional<std::string_view> find(std::string_view key, std::size_t nth = 0) const noexcept {
    for (const entry &each : *entries_) {
      if (each.key == key && nth-- == 0) return std::string_view(each.value);
    }
    return std::nullopt;
  }
  /// Whether there is a pair with this key.
  bool contains(std::string_view key) const noexcept { return find(key).has_value(); }
  /// How many pairs there are.
  std::size_t size() const noexcept { return entries_->size(); }
  /// Whether there are none.
  bool empty() const noexcept { return entries_->empty(); }
  auto begin() const noexcept { return entries_->begin(); }
  auto end() const noexcept { return entries_->end(); }

  friend bool operator==(const metadata &a, const metadata &b) { return *a.entries_ == *b.entries_; }

 private:
  detail::part<std::vector<entry>> entries_;
};

namespace detail {

/// The pairs as the C API takes them, borrowed from `from`.
inline std::vector<spanwire_metadata_entry> lend(const metadata &from) {
  std::vector<spanwire_metadata_entry> lent;
  lent.reserve(from.size());
  for (const metadata::entry &each : from) lent.push_back({each.key.c_str(), each.value.data(), each.value.size()});
  return lent;
}

}  // namespace detail

}  // namespace spanwire
