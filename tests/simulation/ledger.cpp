#include "tests/simulation/ledger.h"

#include <fmt/format.h>

#include <algorithm>

namespace umbra::simulation {
namespace {

// A hub that was cut off delivers until it notices that nobody answers (at most 4.5 s), and the next hop
// takes its time.
constexpr Duration final_reply = std::chrono::seconds{8};

std::string seconds(Duration d) {
  return fmt::format("{:.3f}", std::chrono::duration<double>(d).count());
}

/// The message as it arrived is the original under trace fields only.
bool is_original_with_trace(std::string_view octets, std::string_view original) {
  if (!octets.ends_with(original)) return false;
  auto header = octets.substr(0, octets.size() - original.size());
  bool in_received = false;
  while (!header.empty()) {
    auto end = header.find("\r\n");
    if (end == std::string_view::npos) return false;
    auto line = header.substr(0, end);
    header.remove_prefix(end + 2);
    if (line.starts_with("Received:") || line.starts_with("Umbra-Hop:")) {
      in_received = true;
    } else if (!in_received || line.empty() || (line[0] != ' ' && line[0] != '\t')) {
      return false;
    }
  }
  return true;
}

}  // namespace

std::string find_message_id(std::string_view text) {
  auto is_hex = [](char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'); };
  for (std::size_t dash = text.find('-'); dash != std::string_view::npos; dash = text.find('-', dash + 1)) {
    auto begin = dash;
    while (begin > 0 && is_hex(text[begin - 1])) --begin;
    auto end = dash + 1;
    while (end < text.size() && is_hex(text[end])) ++end;
    if (dash - begin == 16 && end > dash + 1) return std::string(text.substr(begin, end - begin));
  }
  return {};
}

bool is_rejected_everywhere(std::string_view recipient) {
  return recipient.starts_with("nobody");
}

Attempt& Ledger::begin(std::string token) {
  auto& attempt = attempts_[token];
  attempt.token = std::move(token);
  return attempt;
}

void Ledger::delivered(const std::string& token, const std::string& recipient, std::string_view octets,
                       Delivery delivery) {
  auto attempt = attempts_.find(token);
  if (attempt == attempts_.end()) {
    fault(fmt::format("unexpected: {} got a message that nobody sent (token '{}'): {}", recipient, token,
                      octets.substr(0, 600)));
    return;
  }
  if (!is_original_with_trace(octets, attempt->second.body))
    fault(fmt::format("unexpected: {} of {} came changed: {} octets, sent {}", recipient, token,
                      octets.size(), attempt->second.body.size()));
  if (auto id = find_message_id(octets.substr(0, 1000)); !id.empty()) ids_[token].insert(id);
  fates_[{token, recipient}].deliveries.push_back(std::move(delivery));
}

void Ledger::replied(const std::string& token, const std::string& recipient, Duration at) {
  auto fate = fates_.find({token, recipient});
  if (fate == fates_.end() || fate->second.deliveries.empty()) return;
  fate->second.deliveries.back().was_replied = true;
  fate->second.deliveries.back().replied_at = at;
}

void Ledger::notified(const std::string& token, const std::string& recipient, const std::string& action,
                      Duration at) {
  if (!attempts_.contains(token)) {
    fault(fmt::format("unexpected: a notification for unknown token '{}'", token));
    return;
  }
  if (action == "failed") fates_[{token, recipient}].failure_notices.push_back(at);
}

std::size_t Ledger::undelivered() const {
  std::size_t count = 0;
  for (const auto& [token, attempt] : attempts_) {
    if (attempt.outcome != Outcome::acknowledged) continue;
    for (const auto& recipient : attempt.accepted) {
      auto fate = fates_.find({token, recipient});
      if (fate == fates_.end()) ++count;
    }
  }
  return count;
}

std::optional<std::string> Ledger::explain(const Attempt& attempt, const std::vector<Delivery>& deliveries,
                                           const Circumstances& circumstances) const {
  auto ids = ids_.find(attempt.token);
  if (ids != ids_.end())
    for (const auto& id : ids->second)
      if (possible_duplicates_.contains(id)) return "a hub counted it as possible duplicate";
  for (std::size_t i = 0; i + 1 < deliveries.size(); ++i)
    if (!deliveries[i].was_replied) return "the next hop's reply was lost (RFC 1047)";
  // The end of data waited, in its machine, for a next hop that was out of reach, and came when its hub was
  // dead: nobody heard the reply.
  for (const auto& delivery : deliveries)
    for (const auto& d : circumstances.disturbances)
      if (delivery.left_behind_at && d.hub == delivery.hub && *delivery.left_behind_at <= d.from &&
          d.from < delivery.at)
        return fmt::format("{} sent it at {}, was disturbed at {} and gone when it came at {} (RFC 1047)",
                           d.hub, seconds(*delivery.left_behind_at), seconds(d.from), seconds(delivery.at));
  for (std::size_t i = 0; i + 1 < deliveries.size(); ++i) {
    const auto& first = deliveries[i];
    const auto& second = deliveries[i + 1];
    for (const auto& d : circumstances.disturbances) {
      bool is_of_first = d.hub == first.hub || d.sink == first.sink;
      // The hub that delivered was disturbed before its discard status was safe elsewhere.
      bool was_under_way = !circumstances.is_exclusive || !d.sink.empty() || d.from + final_reply >= first.at;
      if (is_of_first && was_under_way && first.at <= d.until &&
          d.from <= first.replied_at + circumstances.discard_window)
        return fmt::format("{} was disturbed at {}, {} s after it was told so",
                           d.hub.empty() ? d.sink : d.hub, seconds(d.from),
                           seconds(d.from - first.replied_at));
      // Under pairwise ownership hubs that do not hear one another both deliver.
      bool is_of_either = is_of_first || d.hub == second.hub;
      if (d.cuts_off && is_of_either && d.from <= second.at && first.at <= d.until)
        return fmt::format("{} was cut off from {} to {}", d.hub, seconds(d.from), seconds(d.until));
      // Its discard status could not reach a holder that was disturbed, until it was disturbed itself.
      if (!is_of_first || d.from < first.at) continue;
      for (const auto& other : circumstances.disturbances)
        if (other.hub != first.hub && !other.hub.empty() &&
            other.from <= first.replied_at + circumstances.discard_window &&
            other.until + circumstances.discard_window >= d.from)
          return fmt::format("{} was disturbed from {} to {}, until {} was at {}", other.hub,
                             seconds(other.from), seconds(other.until), first.hub, seconds(d.from));
    }
  }
  return std::nullopt;
}

Ledger::Verdict Ledger::check(const Circumstances& circumstances) const {
  Verdict verdict;
  auto& counts = verdict.counts;
  verdict.failures = faults_;
  counts.unexpected = faults_.size();
  for (const auto& [token, attempt] : attempts_) {
    auto per_recipient = attempt.accepted.size();
    counts.attempted += attempt.recipients.size();
    if (attempt.outcome == Outcome::acknowledged) counts.acknowledged += per_recipient;
    if (attempt.outcome == Outcome::undecided) counts.undecided += per_recipient;
    if (attempt.outcome == Outcome::refused) counts.refused += per_recipient;
    for (const auto& recipient : attempt.recipients) {
      auto found = fates_.find({token, recipient});
      static const Fate nothing;
      const auto& fate = found == fates_.end() ? nothing : found->second;
      auto copies = fate.deliveries.size();
      auto where = fmt::format("{} to {} (given to {} at {}, '{}')", token, recipient, attempt.hub,
                               seconds(attempt.ended), attempt.reply);
      if (copies > 0) ++counts.delivered;
      if (!fate.failure_notices.empty()) ++counts.bounced;
      bool was_accepted = attempt.accepted.contains(recipient);
      if (attempt.outcome == Outcome::acknowledged && was_accepted) {
        bool may_be_silent = attempt.sender.empty() && is_rejected_everywhere(recipient);
        bool had_one_disk =
            attempt.reply.find("copy on ") == std::string::npos &&
            std::ranges::any_of(circumstances.lost_disks, [&](const auto& lost) {
              return lost.first == attempt.hub && lost.second >= attempt.ended - std::chrono::minutes{1};
            });
        if (copies == 0 && fate.failure_notices.empty() && !may_be_silent && !had_one_disk) {
          ++counts.lost;
          verdict.failures.push_back("lost: " + where);
        }
      } else if (copies > 0 || !fate.failure_notices.empty()) {
        if (!was_accepted || attempt.outcome == Outcome::not_sent) {
          ++counts.unexpected;
          verdict.failures.push_back("unexpected: the end of data of it was never sent: " + where);
        } else if (attempt.outcome == Outcome::undecided) {
          ++counts.recovered;
        } else {
          ++counts.unexpected;
          verdict.failures.push_back("unexpected: delivered after it was refused: " + where);
        }
      }
      if (copies > 1) {
        counts.duplicated += copies - 1;
        auto why = explain(attempt, fate.deliveries, circumstances);
        auto line = fmt::format("{} copies of {}:", copies, where);
        for (const auto& d : fate.deliveries)
          line += fmt::format(" {} by {} at {}", seconds(d.at), d.hub, d.sink);
        if (why) {
          counts.explained += copies - 1;
          verdict.duplicates.push_back(line + ": " + *why);
        } else {
          verdict.failures.push_back("duplicated: " + line);
        }
      }
      if (copies > 0 && !fate.failure_notices.empty() && !circumstances.were_any())
        verdict.failures.push_back("delivered and reported as failed: " + where);
      if (fate.failure_notices.size() > 1 && !circumstances.were_any())
        verdict.failures.push_back("reported as failed more than once: " + where);
    }
  }
  return verdict;
}

}  // namespace umbra::simulation
