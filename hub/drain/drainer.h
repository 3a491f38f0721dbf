// Does what pause, drain and leave ask for (cluster/drain.h decides): tells the other hubs, closes to
// clients, hands mail over to many hubs at once, finds other holders for the shadows that are held here, and
// says what is left. Owned by the composition root; home thread.
#pragma once

#include <deque>
#include <functional>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "cluster/drain.h"
#include "hub/admin/drain_control.h"
#include "hub/peering/peering.h"

namespace umbra::hub {

class Drainer final : public DrainControl {
 public:
  /// How this hub is closed to clients and opened again, and how many there are.
  struct Clients {
    std::function<void(bool is_closed)> close;
    std::function<std::size_t()> sessions;
    /// False: the last attempt to connect this destination failed, and its mail is not due, whatever its
    /// time.
    std::function<bool(const std::string& destination)> can_reach;
  };
  Drainer(Runtime runtime, const Config& config, storage::Spool& spool, Peering& peering, Clients clients,
          EventLog& log, Metrics& metrics, DrainCourse* carried = nullptr);

  /// Goes on with what the run before this one in the same process was ordered (`carried`), from where it
  /// was; and with a leave that a crash or a stop has interrupted. Before the listeners: a hub that is closed
  /// stays closed.
  void start();
  /// Before the sessions with the other hubs end: says to them when this hub will be back. Waits a moment for
  /// what is being handed over; a body that takes longer is cut off with the sessions, and found out about by
  /// the next run.
  Task<void> stop();
  /// Behind it, when the sessions have ended.
  Task<void> join() { co_await tasks_.join(); }

  [[nodiscard]] const cluster::Drain& drain() const { return drain_; }
  [[nodiscard]] DrainGauges gauges() const;
  /// Messages of which it keeps something in memory: bounded, however many there are and however they are
  /// refused.
  [[nodiscard]] std::size_t in_memory() const { return rows_.size() + given_.size(); }

  // DrainControl
  Task<Result<std::string>> begin(cluster::DrainOrder order) override;
  Task<Result<void>> undrain() override;
  Task<Result<DrainReport>> report() override;
  Task<Result<DrainPreview>> preview(cluster::DrainOrder order) override;

 private:
  Task<void> run();
  Task<void> resume();
  Task<Result<cluster::DrainView>> look();
  Task<void> changed();
  Task<void> announce(smtp::HubState state, Duration back_within);
  Task<Result<void>> save(std::string intent);
  void close(bool is_closed);
  // Mail that is owned here.
  void begin_handing_over();
  void feed();
  Task<void> load();
  Task<std::optional<std::vector<RowId>>> next_page();
  Task<Result<std::vector<std::string>>> due_destinations(WallTime now);
  static Result<std::uint64_t> count_due(storage::Reader& reader,
                                         const std::vector<std::string>& destinations, WallTime now);
  Task<void> give(RowId row, std::string hub);
  /// The hubs that may be handed mail by such an order.
  [[nodiscard]] std::vector<std::shared_ptr<Member>> targets(const cluster::DrainOrder& order) const;
  [[nodiscard]] std::string why_not(const cluster::DrainOrder& order) const;
  Task<Result<void>> find_last_copies(DrainPreview& preview, std::vector<std::string> due_at, WallTime now);
  // Shadows that are held here for others.
  Task<void> rehome();
  Task<void> rehome_of(std::shared_ptr<Member> owner, SpoolId spool);
  void count_rate();

  Runtime runtime_;
  const Config& config_;
  storage::Spool& spool_;
  Peering& peering_;
  Clients clients_;
  EventLog& log_;
  Metrics& metrics_;
  TaskScope tasks_;
  Timer wake_;
  DrainCourse own_course_;
  DrainCourse& course_;  ///< the one that outlives this run, if there is one
  cluster::Drain& drain_ = course_.drain;
  cluster::DrainView view_;  ///< as of the last look
  bool is_saved_leave_ = false;
  bool is_stopping_ = false;

  std::deque<RowId> rows_;                         ///< to be handed over next; a page and a half at most
  RowId cursor_{0};                                ///< leave: the next page begins after this row
  std::optional<storage::DueMessage> due_cursor_;  ///< drain: behind this entry; nothing: a walk begins
  MonotonicTime next_page_ = MonotonicTime::min();
  bool is_loading_ = false;
  std::set<RowId> given_;  ///< under way
  double tokens_ = 0;
  MonotonicTime fed_at_{};
  std::size_t turn_ = 0;
  bool is_rehoming_ = false;
  MonotonicTime next_rehome_ = MonotonicTime::min();
  std::uint64_t stuck_shadows_ = 0;
  std::uint64_t stuck_now_ = 0;
  MonotonicTime next_announcement_ = MonotonicTime::min();
  std::set<std::string> untold_;  ///< hubs that have yet to hear that this one is active again
  std::deque<std::pair<MonotonicTime, std::uint64_t>> samples_;  ///< what remained, over the last seconds
};

}  // namespace umbra::hub
