#include "hub/outbound/eight_bit.h"

#include "hub/outbound/destination.h"
#include "hub/spool_tasks.h"
#include "smtp/mime_convert.h"

namespace umbra::hub {
namespace {

constexpr std::uint64_t converted_octets_max = 1U << 20;

}  // namespace

Task<std::optional<smtp::Reply>> make_seven_bit(Parts& parts, JobPtr job) {
  smtp::Reply refusal{554, "5.6.3", "the next hop does not offer 8BITMIME, which this message needs"};
  const auto& target = job->destination->target;
  bool may_convert = target && target->route->eight_bit == RouteConfig::EightBit::convert;
  if (!may_convert || job->message->size > converted_octets_max) co_return refusal;
  std::shared_ptr<const std::string> body = job->body;
  if (body == nullptr) {
    RowId row = job->row();
    std::uint64_t size = job->message->size;
    auto whole = co_await query<std::string>(
        parts.runtime.io, parts.spool, [row, size](storage::Reader& reader) -> Result<std::string> {
          std::string octets;
          for (std::uint32_t number = 0; octets.size() < size; ++number) {
            auto chunk = reader.chunk(row, number);
            if (!chunk) return std::unexpected(chunk.error());
            if (chunk->empty()) break;
            octets += *chunk;
          }
          return octets;
        });
    if (!whole || whole->size() != size)
      co_return smtp::Reply{451, "4.3.0", "the body in the spool cannot be read"};
    body = std::make_shared<const std::string>(std::move(*whole));
  }
  auto converted = smtp::to_seven_bit(*body);
  if (!converted) {
    refusal.text += " (cannot convert: " + std::string(converted.error()) + ")";
    co_return refusal;
  }
  job->body = std::make_shared<const std::string>(std::move(*converted));
  job->is_converted = true;
  co_return std::nullopt;
}

}  // namespace umbra::hub
