// One run of one simulated hub, from start to end: its event loop, network, lanes and the real hub::Hub in
// them.
#pragma once

#include <memory>
#include <string>

#include "hub/hub.h"
#include "tests/simulation/arbiter.h"
#include "tests/simulation/lanes.h"
#include "tests/simulation/ledger.h"
#include "tests/simulation/network.h"

namespace umbra::simulation {

/// Writes what a hub says into the trace, and its possible duplicates into the ledger.
class HubLog final : public hub::EventLog {
 public:
  HubLog(World& world, Ledger& ledger, std::string name)
      : world_(world), ledger_(ledger), name_(std::move(name)) {}
  void message(hub::MessageEvent event, MessageId id, std::initializer_list<hub::LogField> fields) override;
  void line(hub::LogLevel level, std::string_view text, std::initializer_list<hub::LogField> fields) override;
  /// The process is dead: what its remains say is not heard.
  void mute() { is_muted_ = true; }
  /// Called for every event of a message.
  void on_event(std::function<void(hub::MessageEvent)> callback) { on_event_ = std::move(callback); }
  [[nodiscard]] const std::map<hub::MessageEvent, std::uint64_t>& counts() const { return counts_; }

 private:
  World& world_;
  Ledger& ledger_;
  std::string name_;
  bool is_muted_ = false;
  std::function<void(hub::MessageEvent)> on_event_;
  std::map<hub::MessageEvent, std::uint64_t> counts_;
};

class HubProcess {
 public:
  struct Setting {
    World& world;
    Fabric& fabric;
    Ledger& ledger;
    const SimResolver::Names& names;
    const hub::Config& config;
    const DiskSpeed& speed;
    std::string vfs;
    std::shared_ptr<storage::AttemptMarks::Region> attempts;
    std::shared_ptr<hub::DrainCourse> drain;  ///< of the process that goes on; a new one for a new process
    std::string address;
    ClockSkew skew;
    ArbiterStore* arbiter = nullptr;  ///< null: another mode of ownership
    int run = 0;                      ///< how often this hub has been started
  };
  explicit HubProcess(const Setting& setting);
  HubProcess(const HubProcess&) = delete;
  HubProcess& operator=(const HubProcess&) = delete;
  ~HubProcess();

  /// make() and start() of the hub.
  Result<void> begin();
  /// Begins an orderly stop; is_stopped() tells when it is over.
  void stop();
  [[nodiscard]] bool is_stopping() const { return is_stopping_; }
  /// Ends without order: the caller has crashed the disk. What remains is collected by a stop() that nobody
  /// hears.
  void die(bool machine_too);
  [[nodiscard]] bool is_stopped() const { return is_stopped_; }
  [[nodiscard]] bool is_dead() const { return is_dead_; }
  /// Every lane calls this after each of its jobs.
  void on_disk_used(std::function<void()> callback);

  /// Reads the counts of the spool; asked again only when the last answer is there.
  void look();
  /// An operator here holds or releases one message, or releases all; `pick` says which.
  enum class Order : std::uint8_t { hold, release, release_all };
  void operate(Order order, std::uint64_t pick, Ledger& ledger);
  struct View {
    bool is_fresh = false;
    Duration asked{};
    storage::QueueCounts counts;
    std::int64_t imbalance = 0;  ///< of the ledger: never anything but 0
  };
  [[nodiscard]] const View& view() const { return view_; }

  /// An operator's order. Answered once: the reason when it is refused (or nothing could be saved), else
  /// empty.
  void order(cluster::DrainOrder order, std::function<void(std::string)> answer);
  void undrain(std::function<void(std::string)> answer);
  /// What `umbra drain --status` tells; nothing while the spool cannot be read.
  void ask_drain(std::function<void(std::optional<hub::DrainReport>)> answer);
  [[nodiscard]] hub::Hub* hub() { return hub_.get(); }
  [[nodiscard]] Host& host() { return host_; }
  [[nodiscard]] HubLog& log() { return log_; }
  [[nodiscard]] Duration stop_began() const { return stop_began_; }

 private:
  hub::Task<void> run_stop();
  hub::Task<void> run_order(cluster::DrainOrder order, std::function<void(std::string)> answer);
  hub::Task<void> run_undrain(std::function<void(std::string)> answer);
  hub::Task<void> run_report(std::function<void(std::optional<hub::DrainReport>)> answer);
  hub::Task<void> carry_out(Order order, std::uint64_t pick, Ledger& ledger);

  Host host_;
  ProcessNetwork network_;
  SimResolver resolver_;
  SeededRandom random_;
  HubLog log_;
  SimHome home_;
  SimLane writer_;
  SimLane reader_;
  std::unique_ptr<ArbiterClient> arbiter_;
  hub::Config config_;
  std::string vfs_;
  std::shared_ptr<storage::AttemptMarks::Region> attempts_;
  std::shared_ptr<hub::DrainCourse> drain_;
  std::unique_ptr<hub::Hub> hub_;
  hub::Timer pause_;
  hub::TaskScope scope_;
  View view_;
  bool is_looking_ = false;
  bool is_operating_ = false;
  bool is_stopping_ = false;
  bool is_stopped_ = false;
  bool is_dead_ = false;
  Duration stop_began_{};
};

}  // namespace umbra::simulation
