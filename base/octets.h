// Writing and reading the small binary forms (envelope, holders): LEB128 numbers and counted strings.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace umbra {

inline void put_number(std::string& out, std::uint64_t n) {
  while (n >= 0x80) {
    out.push_back(static_cast<char>(n | 0x80));
    n >>= 7;
  }
  out.push_back(static_cast<char>(n));
}

inline void put_string(std::string& out, std::string_view text) {
  put_number(out, text.size());
  out.append(text);
}

/// Reads what put_* wrote. After any failure ok() is false and every further read gives 0 or "".
class OctetReader {
 public:
  explicit OctetReader(std::string_view bytes) : rest_(bytes) {}

  std::uint64_t number() {
    std::uint64_t value = 0;
    for (unsigned shift = 0; shift < 64; shift += 7) {
      if (rest_.empty()) return fail();
      auto octet = static_cast<unsigned char>(rest_.front());
      rest_.remove_prefix(1);
      if (shift == 63 && octet > 1) return fail();
      value |= std::uint64_t{octet & 0x7fU} << shift;
      if ((octet & 0x80U) == 0) return value;
    }
    return fail();
  }

  std::string_view string() {
    auto size = number();
    if (!ok_ || size > rest_.size()) {
      fail();
      return {};
    }
    auto text = rest_.substr(0, size);
    rest_.remove_prefix(size);
    return text;
  }

  [[nodiscard]] bool ok() const { return ok_; }
  [[nodiscard]] bool at_end() const { return ok_ && rest_.empty(); }

 private:
  std::uint64_t fail() {
    ok_ = false;
    rest_ = {};
    return 0;
  }
  std::string_view rest_;
  bool ok_ = true;
};

}  // namespace umbra
