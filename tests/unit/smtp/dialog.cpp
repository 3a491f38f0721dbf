#include "tests/unit/smtp/dialog.h"

#include <fstream>
#include <memory>
#include <regex>
#include <sstream>

#include "tests/unit/smtp/receive_driver.h"

namespace umbra::smtp::testing {
namespace {

std::string unescape(std::string_view text) {
  std::string out;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '\\' || i + 1 == text.size()) {
      out.push_back(text[i]);
      continue;
    }
    switch (text[++i]) {
      case 'r':
        out.push_back('\r');
        break;
      case 'n':
        out.push_back('\n');
        break;
      case 't':
        out.push_back('\t');
        break;
      case '0':
        out.push_back('\0');
        break;
      case 'x':
        out.push_back(static_cast<char>(std::stoi(std::string(text.substr(i + 1, 2)), nullptr, 16)));
        i += 2;
        break;
      case '{': {
        const auto star = text.find('*', i);
        const auto end = text.find('}', star);
        const auto times = std::stoul(std::string(text.substr(i + 1, star - i - 1)));
        const auto piece = unescape(text.substr(star + 1, end - star - 1));
        for (std::size_t n = 0; n < times; ++n) out += piece;
        i = end;
        break;
      }
      default:
        out.push_back(text[i]);
    }
  }
  return out;
}

class Dialog {
 public:
  Dialog(std::string file, std::size_t piece_octets) : file_(std::move(file)), piece_octets_(piece_octets) {}

  std::string run() {
    std::ifstream in(file_);
    if (!in) return file_ + ": cannot be read";
    std::string text;
    while (problem_.empty() && std::getline(in, text)) {
      ++line_;
      if (!text.empty() && text.front() != '#') step(text);
    }
    if (problem_.empty()) talk();
    if (problem_.empty()) compare_message();
    if (problem_.empty() && !said_.empty()) fail("the server also said: " + said_);
    return problem_;
  }

 private:
  void step(const std::string& text) {
    const auto blank = text.find(' ');
    const auto word = text.substr(0, blank);
    const auto rest = blank == std::string::npos ? std::string{} : text.substr(blank + 1);
    if (word == "limit") return set_limit(rest);
    if (driver_ == nullptr) driver_ = std::make_unique<ReceiveDriver>(limits_);
    if (word != "M:") compare_message();
    if (word == "C:" || word == "c:") {
      pending_ += unescape(rest) + (word == "C:" ? "\r\n" : "");
      return;
    }
    talk();
    if (word == "S:" || word == "S~") return expect_line(word == "S~", rest);
    if (word == "M:") {
      message_ += unescape(rest) + "\r\n";
      return;
    }
    if (word == "relay") {
      driver_->may_relay = rest == "yes";
    } else if (word == "answer") {
      driver_->answer = reply(rest);
    } else if (word == "refuse") {
      driver_->refuse_mail = rest.empty() ? std::nullopt : std::optional(reply(rest));
    } else if (word == "kept") {
      if (driver_->kept.size() != std::stoul(rest)) fail("kept " + std::to_string(driver_->kept.size()));
    } else if (word == "closed") {
      if (!driver_->is_closed) fail("the server did not close");
    } else if (word == "sender") {
      if (last().envelope.sender != rest) fail("the sender is " + last().envelope.sender);
    } else if (word == "recipients") {
      std::string all;
      for (const auto& r : last().envelope.recipients) all += (all.empty() ? "" : " ") + r.address;
      if (all != rest) fail("the recipients are " + all);
    } else {
      fail("not a step of a dialog: " + text);
    }
  }

  void set_limit(const std::string& text) {
    std::istringstream in(text);
    std::string name;
    std::uint32_t value = 0;
    in >> name >> value;
    auto& body = limits_.body;
    if (name == "auth") {
      limits_.auth.use = value == 2 ? AuthLimits::Use::required : AuthLimits::Use::offered;
      limits_.auth.allow_without_tls = true;
    } else if (name == "message") {
      body.message_octets_max = value;
    } else if (name == "line") {
      body.line_octets_max = value;
    } else if (name == "header") {
      body.header_octets_max = value;
    } else if (name == "hops") {
      body.hops_max = value;
    } else if (name == "own_hops") {
      body.own_hops_max = value;
    } else if (name == "recipients") {
      limits_.recipients_max = value;
    } else if (name == "command") {
      limits_.command_octets_max = value;
    } else if (name == "errors") {
      limits_.errors_max = value;
    } else if (name == "starttls") {
      limits_.starttls = value == 2 ? StartTlsOffer::required : StartTlsOffer::offered;
    } else {
      fail("no such limit: " + name);
    }
    if (driver_ != nullptr) fail("limits come before the conversation");
  }

  static Reply reply(const std::string& text) {
    std::istringstream in(text);
    Reply r;
    in >> r.code >> r.enhanced >> std::ws;
    std::getline(in, r.text);
    return r;
  }

  void talk() {
    if (driver_ == nullptr) return fail("nothing happens in it");
    if (!pending_.empty() && !said_.empty()) return fail("the server also said: " + said_);
    said_ += driver_->feed_split(std::exchange(pending_, {}), piece_octets_);
  }

  void expect_line(bool is_regex, const std::string& expected) {
    const auto end = said_.find("\r\n");
    if (end == std::string::npos) return fail("the server said nothing, expected: " + expected);
    const auto line = said_.substr(0, end);
    said_.erase(0, end + 2);
    const bool is_as_expected = is_regex ? std::regex_match(line, std::regex(expected)) : line == expected;
    if (!is_as_expected) fail("the server said: " + line + "\n  expected: " + expected);
  }

  void compare_message() {
    const auto expected = std::exchange(message_, {});
    if (!expected.empty() && last().body != expected) fail("above: the message is:\n" + last().body);
  }

  const KeptMessage& last() {
    static const KeptMessage none;
    if (driver_->kept.empty()) {
      fail("no message was kept");
      return none;
    }
    return driver_->kept.back();
  }

  void fail(const std::string& why) {
    if (problem_.empty()) problem_ = file_ + ":" + std::to_string(line_) + ": " + why;
  }

  std::string file_;
  std::size_t piece_octets_;
  int line_ = 0;
  ReceiveSessionLimits limits_;
  std::unique_ptr<ReceiveDriver> driver_;
  std::string pending_;
  std::string said_;
  std::string message_;
  std::string problem_;
};

}  // namespace

std::string run_dialog(const std::string& file, std::size_t piece_octets) {
  return Dialog(file, piece_octets).run();
}

}  // namespace umbra::smtp::testing
