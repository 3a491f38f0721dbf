// Lines on their way to a slow place: a bounded buffer for each of some channels, and one thread that empties
// them. Whoever adds a line never waits for the place: where there is no room the line is dropped and
// counted. What the place does not take (a full disk, a folder that is gone) stays in the buffer and is
// offered again, so that a short trouble costs nothing. The event log and the record logs share this.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <deque>
#include <mutex>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "base/clock.h"
#include "base/result.h"

namespace umbra::hub {

/// The place. Called on the thread of the BackgroundWriter alone.
class LineSink {
 public:
  virtual ~LineSink() = default;
  /// Takes from the front of `lines` (whole ones, and at first what it left of one) what it has written. An
  /// error: not all of it.
  virtual Result<void> write(std::size_t channel, std::string_view& lines) = 0;
  /// After a look at every channel: as often as there was something, and about once a second when there was
  /// nothing.
  virtual void round_ended() {}
};

/// Life: made, start(), any thread adds, stop().
class BackgroundWriter {
 public:
  struct Options {
    std::size_t octets_max = 16U << 20;                    ///< of a channel
    Duration flush_after = std::chrono::milliseconds(25);  ///< lines are gathered for so long
    Duration retry_after = std::chrono::seconds(1);        ///< after an error
  };
  struct State {
    std::uint64_t lines_dropped = 0;   ///< since the start: never written
    std::uint64_t octets_lost = 0;     ///< of those among them that had been in the buffer
    std::uint64_t octets_waiting = 0;  ///< in the buffer
  };

  /// `sink` lives as long as the thread.
  BackgroundWriter(LineSink& sink, std::size_t channels, Options options);
  ~BackgroundWriter() { stop(); }
  BackgroundWriter(const BackgroundWriter&) = delete;
  BackgroundWriter& operator=(const BackgroundWriter&) = delete;

  void start();
  /// Returns when everything added so far is written, or has failed once more: then it is lost, and counted.
  /// Nothing is added later.
  void stop();

  /// `append` puts one line, with its end, behind what is in the string that it is given; one call at a time,
  /// whatever the channel. False: the buffer holds `octets_max` already, and the line is dropped.
  template <class Append>
  bool add(std::size_t number, std::size_t octets_max, Append&& append) {
    std::lock_guard lock(mutex_);
    auto& channel = channels_[number];
    if (is_stopping_ || channel.octets >= octets_max) {
      ++channel.lines_dropped;
      return false;
    }
    auto& block = block_of(channel);
    const auto before = block.size();
    append(block);
    channel.octets += block.size() - before;
    wake_writer(channel);
    return true;
  }
  template <class Append>
  bool add(std::size_t number, Append&& append) {
    return add(number, options_.octets_max, std::forward<Append>(append));
  }

  [[nodiscard]] State state(std::size_t number) const;
  [[nodiscard]] std::size_t octets_max() const { return options_.octets_max; }

 private:
  struct Channel {
    std::deque<std::string> blocks;  ///< the last one grows
    std::string spare;               ///< empty, with room
    std::size_t octets = 0;          ///< of the blocks, and of the one that is being written
    std::uint64_t lines_dropped = 0;
    std::uint64_t octets_lost = 0;
  };

  static std::string& block_of(Channel& channel);
  void wake_writer(const Channel& channel);
  void run();
  /// False: the sink did not take all of it. The lock is held before and after.
  bool write_out(std::unique_lock<std::mutex>& lock, std::size_t number);
  void give_up(Channel& channel);

  LineSink& sink_;
  const Options options_;
  mutable std::mutex mutex_;
  std::condition_variable wake_;
  std::vector<Channel> channels_;
  bool has_lines_ = false;   ///< since the thread looked last
  bool has_plenty_ = false;  ///< so many that they are not gathered any longer
  bool is_stopping_ = false;
  std::thread thread_;
};

}  // namespace umbra::hub
