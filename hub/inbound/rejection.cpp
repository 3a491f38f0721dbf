#include "hub/inbound/rejection.h"

namespace umbra::hub {

RejectionReason reason_of(const smtp::Reply& reply) {
  using enum RejectionReason;
  const std::string_view status = reply.enhanced;
  const std::string_view text = reply.text;
  const auto subject = status.size() > 2 ? status.substr(2) : std::string_view();
  if (subject == "3.4") return size;
  if (subject == "4.6") return loop;
  if (subject == "6.0")
    return text.starts_with("bare ")   ? bare_line_end
           : text.starts_with("NUL ")  ? nul
           : text.starts_with("line ") ? line_length
                                       : other;
  if (subject == "4.0") return not_redundant;
  if (subject == "3.2") return closing;
  if (subject == "3.0" || subject == "3.1") return storage;
  if (subject == "7.1") return content_filter;
  return other;
}

}  // namespace umbra::hub
