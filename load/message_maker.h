// Makes the load's messages: one template of the wanted size whose token is written in at fixed places, so
// that a message costs a few hundred octets of copying. Lines of 76 octets, one of them with a leading dot.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace umbra::load {

class MessageMaker {
 public:
  /// `size`: octets of the message as the receiver counts them (dots unstuffed); small sizes are raised to
  /// what the header needs. `chunking`: the wire form is for BDAT, else dot-stuffed and ended with CRLF.CRLF.
  MessageMaker(const std::string& run, const std::string& from, const std::string& to, std::size_t size,
               bool chunking, bool with_sum);

  /// "RUN-00000042"
  [[nodiscard]] std::string token(std::uint64_t number) const;
  /// The wire form; valid until the next call.
  std::string_view make(std::uint64_t number);

 private:
  std::string run_;
  std::string wire_;
  std::vector<std::size_t> places_;  ///< where the 8 digits of the number stand in wire_
};

}  // namespace umbra::load
