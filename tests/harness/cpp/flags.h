// Command lines: `--name=value`.
#pragma once

#include <map>
#include <stdexcept>
#include <string>
#include <string_view>

class flags {
 public:
  // Takes the command line over `values`, which holds every flag that there is, with its default.
  // Throws std::runtime_error for anything else.
  flags(int argc, char **argv, std::map<std::string, std::string, std::less<>> values)
      : values_(std::move(values)) {
    for (int index = 1; index < argc; index++) {
      const std::string_view word = argv[index];
      const size_t equals = word.find('=');
      if (!word.starts_with("--") || equals == word.npos) throw std::runtime_error("flags are --name=value");
      const auto found = values_.find(word.substr(2, equals - 2));
      if (found == values_.end()) throw std::runtime_error("unknown flag: " + std::string(word));
      found->second = word.substr(equals + 1);
    }
  }

  const std::string &text(std::string_view name) const { return values_.find(name)->second; }
  bool is_true(std::string_view name) const { return text(name) == "true"; }
  // Throws std::invalid_argument for what is not a number.
  int number(std::string_view name) const { return std::stoi(text(name)); }

 private:
  std::map<std::string, std::string, std::less<>> values_;
};
