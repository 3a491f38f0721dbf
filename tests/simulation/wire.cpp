#include "tests/simulation/wire.h"

#include "tests/simulation/stream.h"

#include <array>

namespace umbra::simulation {

hub::Task<bool> Wire::fill(Duration limit) {
  std::array<char, 4096> piece;
  watchdog_.expires_after(limit);
  auto got = co_await stream_->read_some(asio::buffer(piece));
  watchdog_.expires_at(MonotonicTime::max());
  if (got.error) co_return false;
  buffer_.append(piece.data(), got.octets);
  co_return true;
}

hub::Task<bool> Wire::read_line(std::string& line, Duration limit) {
  std::size_t looked_at = 0;
  for (;;) {
    auto end = buffer_.find("\r\n", looked_at);
    if (end != std::string::npos) {
      line = buffer_.substr(0, end);
      buffer_.erase(0, end + 2);
      co_return true;
    }
    looked_at = buffer_.empty() ? 0 : buffer_.size() - 1;
    if (!co_await fill(limit)) co_return false;
  }
}

hub::Task<bool> Wire::read_octets(std::string& octets, std::size_t count, Duration limit) {
  while (buffer_.size() < count)
    if (!co_await fill(limit)) co_return false;
  octets = buffer_.substr(0, count);
  buffer_.erase(0, count);
  co_return true;
}

hub::Task<bool> Wire::write(std::string octets, Duration limit) {
  watchdog_.expires_after(limit);
  auto error = co_await stream_->write(octets);
  watchdog_.expires_at(MonotonicTime::max());
  co_return !error;
}

hub::Task<bool> Wire::read_reply(int& code, std::string& text, Duration limit) {
  code = 0;
  text.clear();
  std::string line;
  for (;;) {
    if (!co_await read_line(line, limit)) co_return false;
    if (line.size() < 3 || line.find_first_not_of("0123456789") < 3) co_return false;
    text += line;
    if (line.size() == 3 || line[3] != '-') break;
    text += '\n';
  }
  code = std::stoi(line.substr(0, 3));
  co_return true;
}

std::optional<Duration> Wire::left_behind_at() const {
  return dynamic_cast<const SimStream&>(*stream_).left_behind_at();
}

}  // namespace umbra::simulation
