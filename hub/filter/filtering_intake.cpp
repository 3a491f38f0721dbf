#include "hub/filter/filtering_intake.h"

#include <utility>

#include "smtp/trace_header.h"

namespace umbra::hub {
namespace {

constexpr std::string_view line_end = "\r\n";

}  // namespace

/// One message that is to be filtered. The inner acceptance has its id from the beginning, and its octets
/// only in the end.
class FilteringIntake::Filtered final : public Acceptance {
 public:
  Filtered(FilteringIntake& owner, std::unique_ptr<Acceptance> inner, Envelope envelope,
           const ListenerConfig& listener, std::vector<std::shared_ptr<ContentFilter>> filters,
           Verdict* verdict)
      : owner_(owner), inner_(std::move(inner)), filters_(std::move(filters)), verdict_(verdict) {
    message_.id = inner_->id();
    message_.listener = listener.name;
    message_.envelope = std::move(envelope);
    message_.body = std::make_unique<MessageBuffer>(owner.runtime_.io, owner.spool_);
    message_.octets_max = listener.limits.message_octets_max;
    message_.header_octets_max = listener.limits.header_octets_max;
  }

  /// Instead of append().
  void take(WaitingContent content) {
    trace_ = std::move(content.trace);
    message_.header = std::move(content.header);
    message_.separator = std::move(content.separator);
    message_.body = std::move(content.body);
    in_header_ = false;
  }

  MessageId id() const override { return inner_->id(); }
  void change_envelope(Envelope envelope) override { message_.envelope = std::move(envelope); }
  void hold(std::string why) override { hold_why_ = std::move(why); }
  void replaces(RowId waiting) override { inner_->replaces(waiting); }
  void note_8bit() override { message_.envelope.body_8bit = true; }
  void note_user(std::string_view user) override { inner_->note_user(user); }

  Task<void> append(std::string_view octets) override {
    if (trace_.empty()) {
      trace_ = octets;
      co_return;
    }
    if (in_header_) {
      header_.append(octets);
      // Looked at when a line has ended: a client that sends octet by octet costs no more than another.
      const auto end =
          octets.contains('\n') ? milter::HeaderSection::end_of(header_, scanned_) : std::nullopt;
      // A longer one is refused by the session when it has ended; it is not kept meanwhile.
      if (!end && header_.size() <= message_.header_octets_max + line_end.size()) co_return;
      co_await end_header(end.value_or(header_.size()));
      co_return;
    }
    co_await message_.body->append(octets);
  }

  Task<smtp::Reply> finish() override {
    if (in_header_) {
      const auto octets = header_.size();
      const auto end = milter::HeaderSection::end_of(header_ + "\r\n\r\n", scanned_);
      co_await end_header(std::min(end.value_or(octets), octets));
    }
    auto reply = co_await pass_filters();
    if (!reply) reply = co_await hand_in();
    co_await message_.body->drop();
    co_return *reply;
  }

  std::string remark() const override { return inner_->remark(); }

  Task<void> abandon() override {
    co_await message_.body->drop();
    co_await inner_->abandon();
  }

 private:
  Task<void> end_header(std::size_t octets) {
    in_header_ = false;
    message_.header = milter::HeaderSection(std::string_view(header_).substr(0, octets));
    auto rest = std::string_view(header_).substr(octets);
    if (rest.starts_with(line_end)) {
      message_.separator = line_end;
      rest.remove_prefix(line_end.size());
    }
    co_await message_.body->append(rest);
    header_ = {};
  }

  /// A reply: it goes no further.
  Task<std::optional<smtp::Reply>> pass_filters() {
    std::optional<smtp::Reply> reply;
    if (const auto& failed = message_.body->failed()) reply = failure_reply(*failed);
    for (std::size_t i = 0; i < filters_.size() && !reply && message_.envelope.waits_for.empty(); ++i) {
      auto& filter = *filters_[i];
      next_ = i;
      const auto result = co_await filter.apply(message_);
      reply = judge(filter, result);
      if (!reply && message_.header.octets() > message_.header_octets_max + Conversation::edit_octets_max)
        reply = header_too_large();
    }
    if (!reply && verdict_ != nullptr && !verdict_->is_ours()) {
      verdict_->is_down = true;
      reply = {451, "4.3.0", "It waits on"};
    }
    if (reply) co_await inner_->abandon();
    co_return reply;
  }

  smtp::Reply header_too_large() {
    if (verdict_ != nullptr) verdict_->is_refused = true;
    return {552, "5.3.4", "The header section is too large"};
  }

  std::optional<smtp::Reply> judge(ContentFilter& filter, const FilterResult& result) {
    using Kind = FilterResult::Kind;
    const auto& name = filter.config().name;
    auto& metrics = owner_.metrics_;
    auto log = [&](MessageEvent event, std::string_view verdict, std::string_view detail) {
      owner_.log_.message(event, logged_id(),
                          {{"filter", name},
                           {"verdict", verdict},
                           {"detail", detail},
                           {"sender", message_.envelope.sender, true}});
    };
    switch (result.kind) {
      case Kind::passed:
        if (!result.quarantine.empty())
          hold_why_ = "quarantined by content filter " + name + ": " + result.quarantine;
        if (!result.is_changed) return std::nullopt;
        ++metrics.content_filter_changed_total;
        log(MessageEvent::filtered, "changed", {});
        return std::nullopt;
      case Kind::refused:
        ++metrics.content_filter_refused_total;
        if (verdict_ != nullptr) verdict_->is_refused = true;
        log(MessageEvent::filtered, "refused", smtp::to_line(result.reply));
        return result.reply;
      case Kind::discarded:
        ++metrics.content_filter_discarded_total;
        if (verdict_ != nullptr) verdict_->is_discarded = true;
        log(MessageEvent::filtered, "discarded", {});
        return smtp::Reply{250, "2.0.0", "discarded by content filter " + name};
      case Kind::busy:
        if (verdict_ != nullptr)
          verdict_->is_down = true;
        else
          ++metrics.content_filter_busy_total;
        return smtp::Reply{451, "4.7.1", "Content filter " + name + " has too much to do; try again later"};
      case Kind::storage_failed:
        return result.reply;
      case Kind::stopping:
        return smtp::Reply{451, "4.3.2", "This hub is closing; try another"};
      case Kind::down:
        break;
    }
    return down(filter, result.why);
  }

  [[nodiscard]] MessageId logged_id() const { return verdict_ != nullptr ? verdict_->waiting : id(); }

  std::optional<smtp::Reply> down(ContentFilter& filter, const std::string& why) {
    using WhenDown = ContentFilterConfig::WhenDown;
    const auto& name = filter.config().name;
    if (filter.config().when_down == WhenDown::accept) {
      ++owner_.metrics_.content_filter_bypassed_total;
      owner_.log_.message(MessageEvent::filter_bypassed, logged_id(),
                          {{"filter", name}, {"reason", why}, {"sender", message_.envelope.sender, true}});
      smtp::add_remark(trace_, "content filter " + name + " bypassed: " + why);
      return std::nullopt;
    }
    if (verdict_ != nullptr) {
      verdict_->is_down = true;
      return smtp::Reply{451, "4.7.1", "It waits on"};
    }
    if (filter.config().when_down == WhenDown::hold) {
      hold_why_ = "content filter " + name + " is down: " + why;
      return std::nullopt;
    }
    if (filter.config().when_down == WhenDown::queue_and_wait) {
      if (owner_.waiting_.is_full(filter.config()))
        return smtp::Reply{452, "4.3.1",
                           "Content filter " + name + " is not available, and too much mail waits for it"};
      hold_why_ = "waits for content filter " + name;
      for (auto at = next_; at < filters_.size(); ++at)
        message_.envelope.waits_for.push_back(filters_[at]->config().name);
      return std::nullopt;
    }
    ++owner_.metrics_.content_filter_down_total;
    owner_.log_.message(MessageEvent::rejected, id(),
                        {{"reason", "content filter is down"},
                         {"filter", name},
                         {"detail", why},
                         {"sender", message_.envelope.sender, true}});
    if (filter.config().when_down == WhenDown::reject)
      return smtp::Reply{554, "5.7.1", "Content filter " + name + " is not available"};
    return smtp::Reply{451, "4.7.1", "Content filter " + name + " is not available; try again later"};
  }

  /// To the inner acceptance, as the filters left it.
  Task<smtp::Reply> hand_in() {
    const auto waits_for = message_.envelope.waits_for;
    if (message_.has_new_8bit) message_.envelope.body_8bit = true;
    inner_->change_envelope(std::move(message_.envelope));
    if (!hold_why_.empty()) inner_->hold(hold_why_);
    co_await inner_->append(trace_);
    co_await inner_->append(message_.header.text());
    if (message_.separator.empty() && message_.header.is_changed()) message_.separator = line_end;
    co_await inner_->append(message_.separator);
    message_.body->rewind();
    while (true) {
      const auto piece = co_await message_.body->read();
      if (!piece) {
        co_await inner_->abandon();
        co_return failure_reply(piece.error());
      }
      if (piece->empty()) break;
      co_await inner_->append(*piece);
    }
    const auto octets =
        trace_.size() + message_.header.octets() + message_.separator.size() + message_.body->octets();
    auto reply = co_await inner_->finish();
    if (reply.code == 250 && !waits_for.empty())
      owner_.waiting_.added(waits_for.front(), RowId{static_cast<std::int64_t>(id().number)}, octets);
    co_return reply;
  }

  using Conversation = milter::Conversation;

  FilteringIntake& owner_;
  std::unique_ptr<Acceptance> inner_;
  std::vector<std::shared_ptr<ContentFilter>> filters_;
  Verdict* verdict_;  // null: not mail that waited
  std::size_t next_ = 0;
  FilteredMessage message_;
  std::string hold_why_;  // empty: it is not held
  std::string trace_;
  std::string header_;  // until its end has come
  std::size_t scanned_ = 0;
  bool in_header_ = true;
};

std::unique_ptr<Acceptance> FilteringIntake::begin(Envelope envelope, const ListenerConfig& listener) {
  auto filters = filters_.for_client(listener.name, envelope.client_address);
  if (filters.empty()) return inner_.begin(std::move(envelope), listener);
  auto inner = inner_.begin(envelope, listener);
  return std::make_unique<Filtered>(*this, std::move(inner), std::move(envelope), listener,
                                    std::move(filters), nullptr);
}

std::unique_ptr<Acceptance> FilteringIntake::begin_waiting(
    Envelope envelope, const ListenerConfig& listener, std::vector<std::shared_ptr<ContentFilter>> filters,
    WaitingContent content, Verdict& verdict) {
  auto inner = inner_.begin(envelope, listener);
  auto filtered = std::make_unique<Filtered>(*this, std::move(inner), std::move(envelope), listener,
                                             std::move(filters), &verdict);
  filtered->take(std::move(content));
  return filtered;
}

std::optional<smtp::Reply> FilteringIntake::refuse_client(const ListenerConfig& listener,
                                                          std::string_view client) {
  for (const auto& filter : filters_.for_client(listener.name, client))
    if (filter->config().when_down == ContentFilterConfig::WhenDown::queue_and_wait &&
        waiting_.is_full(filter->config()))
      return smtp::Reply{452, "4.3.1", "Too much mail waits for a content filter; try again later"};
  return std::nullopt;
}

}  // namespace umbra::hub
