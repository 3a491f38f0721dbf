#include "load/ledger_check.h"

#include <algorithm>
#include <charconv>

#include "base/ids.h"

namespace umbra::load {

namespace {

std::string_view next_word(std::string_view& rest) {
  auto blank = rest.find(' ');
  auto word = rest.substr(0, blank);
  rest = blank == std::string_view::npos ? std::string_view{} : rest.substr(blank + 1);
  return word;
}

bool contains(const std::vector<std::uint32_t>& numbers, std::uint32_t n) {
  return std::find(numbers.begin(), numbers.end(), n) != numbers.end();
}

}  // namespace

std::uint32_t recipient_index(std::string_view address) {
  auto local = address.substr(0, address.find('@'));
  local = local.substr(0, local.find('.'));
  auto dash = local.rfind('-');
  if (dash == std::string_view::npos) return no_recipient;
  auto number = parse_number(local.substr(dash + 1));
  return number && *number < no_recipient ? static_cast<std::uint32_t>(*number) : no_recipient;
}

LedgerCheck::Message& LedgerCheck::message(std::string_view token) {
  return messages_[std::string(token)];
}

void LedgerCheck::add_source_line(std::string_view line) {
  if (line.empty()) return;
  auto rest = line;
  auto kind = next_word(rest);
  auto time = parse_number(next_word(rest));
  auto token = next_word(rest);
  auto attempt = parse_number(next_word(rest));
  if (!time || token.empty() || !attempt) {
    ++unreadable_;
    return;
  }
  if (kind == "attempted") {
    auto recipients = parse_number(next_word(rest));
    if (!recipients || *recipients == 0 || *recipients > 100'000) {
      ++unreadable_;
      return;
    }
    auto& m = message(token);
    m.recipients = std::max(m.recipients, static_cast<std::uint32_t>(*recipients));
    ++m.attempts;
  } else if (kind == "acknowledged") {
    next_word(rest);  // target
    auto refused = next_word(rest);
    auto& m = message(token);
    m.acknowledged = true;
    m.acknowledgement = rest;
    m.refused.clear();
    while (refused != "-" && !refused.empty()) {
      auto comma = refused.find(',');
      if (auto number = parse_number(refused.substr(0, comma)))
        m.refused.push_back(static_cast<std::uint32_t>(*number));
      if (comma == std::string_view::npos) break;
      refused.remove_prefix(comma + 1);
    }
  } else if (kind == "undecided") {
    message(token).undecided = true;
  } else if (kind != "refused" && kind != "unsent" && kind != "abandoned") {
    ++unreadable_;
  }
}

void LedgerCheck::add_sink_line(std::string_view line) {
  if (line.empty()) return;
  auto rest = line;
  auto kind = next_word(rest);
  auto time = parse_number(next_word(rest));
  auto token = next_word(rest);
  auto recipient = next_word(rest);
  if (!time || token.empty() || recipient.empty() || rest.empty()) {
    ++unreadable_;
    return;
  }
  if (kind == "delivered") {
    if (token == "-") {
      ++without_token_;
    } else {
      deliveries_.emplace_back(token, recipient);
    }
  } else if (kind == "rejected") {
    if (token != "-") rejections_.emplace_back(token, recipient);
  } else if (kind == "withheld") {
    ++withheld_;
  } else if (kind != "deferred") {
    ++unreadable_;
  }
}

LedgerReport LedgerCheck::report(std::size_t named_max) const {
  LedgerReport result;
  auto& counts = result.counts;
  auto messages = messages_;
  counts.withheld = withheld_;
  counts.without_token = without_token_;
  counts.unreadable_lines = unreadable_;

  for (const auto& [token, recipient] : deliveries_) {
    auto found = messages.find(token);
    auto index = recipient_index(recipient);
    if (found == messages.end() || index >= found->second.recipients) {
      ++counts.unexpected;
      if (result.unexpected.size() < named_max) result.unexpected.push_back(token + " " + recipient);
      continue;
    }
    auto& m = found->second;
    if (m.deliveries.size() <= index) m.deliveries.resize(m.recipients);
    if (m.deliveries[index] < 0xffff) ++m.deliveries[index];
  }
  for (const auto& [token, recipient] : rejections_) {
    auto found = messages.find(token);
    auto index = recipient_index(recipient);
    if (found != messages.end() && index < found->second.recipients) found->second.rejected.push_back(index);
  }

  std::vector<const std::pair<const std::string, Message>*> in_order;
  in_order.reserve(messages.size());
  for (const auto& entry : messages) in_order.push_back(&entry);
  std::sort(in_order.begin(), in_order.end(), [](auto* a, auto* b) { return a->first < b->first; });

  for (const auto* entry : in_order) {
    const auto& [token, m] = *entry;
    if (m.acknowledged) ++counts.messages_acknowledged;
    // An acknowledgement whose "attempted" line is missing still is a promise to one recipient at least.
    auto recipients = std::max<std::uint32_t>(m.recipients, m.acknowledged ? 1 : 0);
    for (std::uint32_t i = 0; i < recipients; ++i) {
      ++counts.attempted;
      bool acknowledged = m.acknowledged && !contains(m.refused, i);
      std::uint32_t deliveries = i < m.deliveries.size() ? m.deliveries[i] : 0;
      NamedUnit unit{token, i, m.acknowledgement, deliveries, m.undecided};
      if (acknowledged) ++counts.acknowledged;
      if (!acknowledged && m.undecided) ++counts.undecided;
      if (deliveries > 0) {
        ++counts.delivered;
        if (!acknowledged) ++counts.recovered;
      } else if (acknowledged) {
        if (contains(m.rejected, i)) {
          ++counts.rejected_by_sink;
        } else {
          ++counts.lost;
          if (result.lost.size() < named_max) result.lost.push_back(unit);
        }
      }
      if (deliveries > 1) {
        ++counts.duplicated;
        counts.duplicate_deliveries += deliveries - 1;
        ++(m.undecided ? counts.duplicated_resent : counts.duplicated_unexplained);
        if (result.duplicated.size() < named_max) result.duplicated.push_back(unit);
      }
    }
  }
  return result;
}

}  // namespace umbra::load
