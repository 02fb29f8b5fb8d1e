// The official command lines: `--name=value`, underscores in names, booleans written out.

#pragma once

#include <fstream>
#include <iterator>
#include <map>
#include <stdexcept>
#include <string>
#include <string_view>

class Flags {
 public:
  // Takes the command line over `values`, which holds every flag that there is, with its default.
  // Throws std::runtime_error for anything else.
  Flags(int argc, char **argv, std::map<std::string, std::string> values) : values_(std::move(values)) {
    for (int index = 1; index < argc; index++) {
      const std::string_view word = argv[index];
      const size_t equals = word.find('=');
      const bool whole = word.substr(0, 2) == "--" && equals != std::string_view::npos;
      const auto found = whole ? values_.find(std::string(word.substr(2, equals - 2))) : values_.end();
      if (found == values_.end()) throw std::runtime_error("unknown flag: " + std::string(word));
      found->second = word.substr(equals + 1);
    }
  }

  const std::string &Text(const std::string &name) const { return values_.at(name); }
  int Number(const std::string &name) const { return std::stoi(Text(name)); }
  bool IsTrue(const std::string &name) const { return Text(name) == "true" || Text(name) == "1"; }

  // What is in the file that the flag names.
  std::string File(const std::string &name) const {
    std::ifstream file(Text(name), std::ios::binary);
    if (!file) throw std::runtime_error("cannot read --" + name + "=" + Text(name));
    return {std::istreambuf_iterator<char>(file), {}};
  }

 private:
  std::map<std::string, std::string> values_;
};
