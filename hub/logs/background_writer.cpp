#include "hub/logs/background_writer.h"

#include <pthread.h>

#include <algorithm>
#include <csignal>

namespace umbra::hub {
namespace {

constexpr std::size_t block_octets = 64U << 10;
constexpr std::size_t line_octets_usual =
    4U << 10;  // so much room is left in a block, that it need not grow for its last line
constexpr Duration idle_after = std::chrono::seconds(1);

}  // namespace

BackgroundWriter::BackgroundWriter(LineSink& sink, std::size_t channels, Options options)
    : sink_(sink), options_(options), channels_(channels) {}

void BackgroundWriter::start() {
  // Signals are for the main thread: a new thread takes over the mask of its maker.
  sigset_t all;
  sigset_t before;
  ::sigfillset(&all);
  ::pthread_sigmask(SIG_SETMASK, &all, &before);
  thread_ = std::thread([this] { run(); });
  ::pthread_sigmask(SIG_SETMASK, &before, nullptr);
}

void BackgroundWriter::stop() {
  {
    std::lock_guard lock(mutex_);
    is_stopping_ = true;
  }
  wake_.notify_one();
  if (thread_.joinable()) thread_.join();
}

BackgroundWriter::State BackgroundWriter::state(std::size_t number) const {
  std::lock_guard lock(mutex_);
  const auto& channel = channels_[number];
  return {channel.lines_dropped, channel.octets_lost, channel.octets};
}

std::string& BackgroundWriter::block_of(Channel& channel) {
  if (channel.blocks.empty() || channel.blocks.back().size() >= block_octets - line_octets_usual) {
    channel.blocks.push_back(std::move(channel.spare));
    channel.spare.clear();
    channel.blocks.back().reserve(block_octets);
  }
  return channel.blocks.back();
}

void BackgroundWriter::wake_writer(const Channel& channel) {
  // One wake-up per batch, not per line; a second one when the batch is large enough to be written early.
  const bool is_plenty = channel.octets >= options_.octets_max / 4;
  if (has_lines_ && (!is_plenty || has_plenty_)) return;
  has_lines_ = true;
  has_plenty_ |= is_plenty;
  wake_.notify_one();
}

void BackgroundWriter::run() {
  std::unique_lock lock(mutex_);
  bool is_well = true;
  while (true) {
    if (!is_well) {
      wake_.wait_for(lock, options_.retry_after, [this] { return is_stopping_; });
    } else if (wake_.wait_for(lock, idle_after, [this] { return is_stopping_ || has_lines_; })) {
      wake_.wait_for(lock, options_.flush_after, [this] { return is_stopping_ || has_plenty_; });
    }
    const bool is_last = is_stopping_;
    has_lines_ = has_plenty_ = false;
    is_well = true;
    for (std::size_t number = 0; number < channels_.size(); ++number)
      is_well = write_out(lock, number) && is_well;
    if (is_last)
      for (auto& channel : channels_) give_up(channel);
    lock.unlock();
    sink_.round_ended();
    lock.lock();
    if (is_last) return;
  }
}

bool BackgroundWriter::write_out(std::unique_lock<std::mutex>& lock, std::size_t number) {
  auto& channel = channels_[number];
  // No more than there are now: others have their turn.
  for (auto count = channel.blocks.size(); count > 0; --count) {
    auto block = std::move(channel.blocks.front());
    channel.blocks.pop_front();
    lock.unlock();
    std::string_view rest = block;
    const bool is_taken = sink_.write(number, rest) && rest.empty();
    const auto written = block.size() - rest.size();
    lock.lock();
    channel.octets -= written;
    if (!is_taken) {
      block.erase(0, written);
      channel.blocks.push_front(std::move(block));
      return false;
    }
    block.clear();
    if (block.capacity() < 2 * block_octets) channel.spare = std::move(block);
  }
  return true;
}

void BackgroundWriter::give_up(Channel& channel) {
  for (const auto& block : channel.blocks) {
    channel.octets_lost += block.size();
    channel.lines_dropped += static_cast<std::uint64_t>(std::ranges::count(block, '\n'));
  }
  channel.blocks.clear();
  channel.octets = 0;
}

}  // namespace umbra::hub
