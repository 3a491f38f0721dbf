#include "tests/simulation/lanes.h"

#include <boost/asio/post.hpp>

namespace umbra::simulation {

void SimHome::post(std::move_only_function<void()> job) {
  auto& world = host_.world();
  last_ = std::max(last_, world.now() + delay_);
  host_.run_at(last_, [this, job = std::move(job)]() mutable { asio::post(host_.io(), std::move(job)); });
}

SimLane::SimLane(Host& host, SimHome& home, const DiskSpeed& speed, std::string name)
    : host_(host),
      home_(home),
      speed_(speed),
      random_(host.world().random().fork("lane " + name + " " + host.name())),
      is_reader_(name == "reader") {}

void SimLane::post(std::move_only_function<void()> job) {
  jobs_.push_back(std::move(job));
  if (!std::exchange(is_busy_, true)) host_.run_at(host_.world().now(), [this] { run_next(); });
}

void SimLane::drop() {
  auto jobs = std::move(jobs_);
  jobs_.clear();
}

void SimLane::run_next() {
  if (jobs_.empty()) {
    is_busy_ = false;
    return;
  }
  Duration before{};
  Duration after{};
  if (!is_hurried_) {
    auto whole =
        is_reader_ ? random_.between(20us, 400us) : random_.between(speed_.commit_min, speed_.commit_max);
    if (random_.chance(speed_.stalls)) whole += random_.between(Duration{0}, speed_.stall_max);
    before = random_.between(Duration{0}, whole);
    after = whole - before;
  }
  host_.run_at(host_.world().now() + before, [this, after] {
    if (jobs_.empty()) {
      is_busy_ = false;
      return;
    }
    auto job = std::move(jobs_.front());
    jobs_.pop_front();
    home_.delay_ = is_hurried_ ? Duration{} : after;
    job();
    home_.delay_ = {};
    if (on_job_) on_job_();
    host_.run_at(host_.world().now() + (is_hurried_ ? Duration{} : after), [this] { run_next(); });
  });
}

}  // namespace umbra::simulation
