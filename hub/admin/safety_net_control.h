// What the admin API asks of the safety net. Implemented by hub/safety_net. Home thread.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "hub/net/task.h"
#include "hub/safety_net/filter.h"
#include "storage/spool.h"

namespace umbra::hub {

/// Kept mail that is meant, with the recipients that are.
struct KeptMatch {
  storage::KeptMessage message;
  std::vector<std::uint32_t> recipients;
};

struct KeptPage {
  std::vector<KeptMatch> messages;
  /// Where to go on; nothing: that was all.
  std::optional<std::pair<WallTime, RowId>> next;
};

/// What a request would do.
struct ResendPreview {
  std::uint64_t messages = 0;
  std::uint64_t recipients = 0;
  std::uint64_t octets = 0;
  std::uint64_t shadows_left_out = 0;  ///< their owner lives, or may come back
};

struct ResendAnswer {
  std::string refusal;  ///< empty: it is under way, or was already
  storage::Resend resend;
};

class SafetyNetControl {
 public:
  virtual ~SafetyNetControl() = default;
  /// Looks at no more than a few thousand messages at once: a page may be empty and not the last.
  virtual Task<Result<KeptPage>> list(KeptFilter filter, WallTime from, RowId after, std::size_t limit) = 0;
  virtual Task<Result<ResendPreview>> preview(KeptFilter filter) = 0;
  /// The request is durable when it returns; made twice under one name it is one request.
  virtual Task<Result<ResendAnswer>> begin(std::string request, KeptFilter filter) = 0;
  virtual Task<Result<std::optional<storage::Resend>>> find(std::string request) = 0;
  /// The newest first.
  virtual Task<Result<std::vector<storage::Resend>>> recent() = 0;
  /// What was sent again stays sent. False: it is not under way.
  virtual Task<Result<bool>> cancel(std::string request) = 0;
};

}  // namespace umbra::hub
