// One SMTP client session of a source: connects, sends messages from the board until there are none, moves to
// another target when its own fails and back to its home target when that is up again.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "load/connection.h"
#include "load/source_board.h"

namespace umbra::load {

class SourceSession final : public Connection {
 public:
  SourceSession(EventLoop& loop, SourceBoard& board, std::size_t home);

  /// Called every few milliseconds while it is idle(), and once at the start.
  void wake(MonotonicTime now);
  /// Without a connection: to be woken even when there is no message for it.
  [[nodiscard]] bool is_closed() const { return stage_ == Stage::closed; }
  /// Nothing under way: waits for a message or for a time to connect again.
  [[nodiscard]] bool idle() const { return stage_ == Stage::closed || stage_ == Stage::ready; }
  /// Ends a wait that has taken too long.
  void check_deadline(MonotonicTime now);
  /// Says QUIT if it can, and closes.
  void finish();

 private:
  enum class Stage : std::uint8_t { closed, connecting, greeting, hello, ready, envelope, content };
  enum class Step : std::uint8_t { reset, mail, rcpt, data, chunk };

  void on_connected() override;
  void on_received(std::string_view octets) override;
  void on_closed(int error) override;

  void connect_somewhere(MonotonicTime now);
  bool begin_message();
  void send_steps();
  void append_step(std::size_t step);
  void send_content();
  void reply(int code, std::string_view text);
  void hello_reply(int code, std::string_view text);
  void step_reply(int code, std::string_view text);
  void final_reply(int code, std::string_view text);
  void attempt_refused(int code, std::string_view text);
  void message_ended();
  void lost(std::string_view reason);
  void drop(std::string_view reason);
  void set_deadline();

  SourceBoard& board_;
  std::size_t home_;
  std::size_t target_;
  Stage stage_ = Stage::closed;
  MonotonicTime connect_at_{};
  MonotonicTime deadline_{};
  MonotonicTime away_since_{};
  std::uint64_t connection_number_ = 0;
  bool server_pipelining_ = false;
  bool server_chunking_ = false;
  bool said_helo_ = false;

  std::string in_;        ///< an unfinished reply line
  std::string keywords_;  ///< of the EHLO reply

  // The message under way.
  std::optional<Work> work_;
  std::vector<Step> steps_;
  std::size_t steps_sent_ = 0;
  std::size_t steps_answered_ = 0;
  std::uint32_t rcpt_answered_ = 0;
  std::uint32_t accepted_ = 0;
  std::string refused_;  ///< indices, "1,3"
  int bad_code_ = 0;     ///< the reply that spoiled the attempt
  std::string bad_reply_;
  bool needs_reset_ = false;
  bool attempted_ = false;  ///< the end of data has been handed to the kernel
  MonotonicTime content_sent_{};
  std::string out_;
};

}  // namespace umbra::load
