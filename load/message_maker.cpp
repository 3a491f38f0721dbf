#include "load/message_maker.h"

#include <algorithm>
#include <array>
#include <cstdio>

#include "load/sink_dialog.h"

namespace umbra::load {

namespace {

constexpr std::string_view blank_number = "00000000";

std::string number_text(std::uint64_t number) {
  std::array<char, 16> digits;
  std::snprintf(digits.data(), digits.size(), "%08u", static_cast<unsigned>(number % 100'000'000));
  return digits.data();
}

/// `size` octets of text in lines that end with CRLF; the second line begins with a dot.
std::string make_body(std::size_t size) {
  std::string body;
  body.reserve(size);
  for (unsigned line = 0; body.size() < size; ++line) {
    auto left = size - body.size();
    auto length = std::min<std::size_t>(left, 78);
    // A last line of one octet would have no room for its CRLF.
    if (left > length && left - length < 3) length -= 3;
    if (length < 2) length = 2;
    for (std::size_t i = 0; i + 2 < length; ++i)
      body.push_back(static_cast<char>('a' + (i * 7 + line * 3) % 26));
    if (line == 1 && length > 3) body[body.size() - (length - 2)] = '.';
    body.append("\r\n");
  }
  return body;
}

}  // namespace

MessageMaker::MessageMaker(const std::string& run, const std::string& from, const std::string& to,
                           std::size_t size, bool chunking, bool with_sum)
    : run_(run) {
  auto blank_token = token(0);
  auto header_for = [&](const std::string& announced) {
    return "From: <" + from + ">\r\nTo: <" + to +
           ">\r\nDate: Thu, 01 Jan 2026 00:00:00 +0000\r\nMessage-ID: <" + blank_token +
           "@umbra-load.example>\r\nX-Umbra-Load: " + blank_token + " " + announced +
           "\r\nSubject: umbra-load " + std::string(blank_number) +
           "\r\nMIME-Version: 1.0\r\nContent-Type: text/plain; charset=us-ascii\r\n\r\n";
  };
  auto announce = [&](const std::string& body) {
    auto text = std::to_string(body.size());
    if (with_sum) {
      std::array<char, 20> sum;
      std::snprintf(sum.data(), sum.size(), " %016llx",
                    static_cast<unsigned long long>(add_to_sum(sum_start, body)));
      text += sum.data();
    }
    return text;
  };
  auto least = header_for(announce(make_body(2))).size();
  auto body = make_body(size > least + 2 ? size - least : 2);
  auto header = header_for(announce(body));
  // The announced length may take more digits than the one that was assumed: take them from the body.
  if (header.size() > least && body.size() > header.size() - least + 2) {
    body = make_body(body.size() - (header.size() - least));
    header = header_for(announce(body));
  }

  wire_ = header;
  if (chunking) {
    wire_ += body;
  } else {
    bool at_line_start = true;
    for (char c : body) {
      if (at_line_start && c == '.') wire_.push_back('.');
      wire_.push_back(c);
      at_line_start = c == '\n';
    }
    wire_ += ".\r\n";
  }
  for (auto at = header.find(blank_token); at != std::string::npos; at = header.find(blank_token, at + 1)) {
    places_.push_back(at + run_.size() + 1);
  }
  places_.push_back(header.find("umbra-load " + std::string(blank_number)) + 11);
}

std::string MessageMaker::token(std::uint64_t number) const {
  return run_ + "-" + number_text(number);
}

std::string_view MessageMaker::make(std::uint64_t number) {
  auto digits = number_text(number);
  for (auto place : places_) wire_.replace(place, digits.size(), digits);
  return wire_;
}

}  // namespace umbra::load
