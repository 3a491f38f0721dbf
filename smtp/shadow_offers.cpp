// Offers of a copy (XCOPY) and of a message (XHAND), as sent.
#include "smtp/shadow_verbs.h"

namespace umbra::smtp {
namespace {

std::string format_names(const CopyOffer& offer) {
  std::string out;
  for (const auto& [hub, spool] : offer.offered) {
    if (!out.empty()) out += ',';
    out += hub + '/' + to_string(spool);
  }
  return out;
}

std::string copy_line(const CopyOffer& offer, std::string_view names) {
  auto out = "XCOPY " + to_string(offer.id) + ' ' + std::to_string(offer.generation.value) + ' ' +
             std::to_string(offer.envelope.size()) + ' ' + std::to_string(offer.body_octets) +
             (offer.part == CopyOffer::Part::begin ? " BEGIN "
              : offer.part == CopyOffer::Part::end ? " END+" + std::to_string(offer.body.size()) + ' '
              : offer.streamed                     ? " STREAM "
                                                   : " INLINE ");
  out += names;
  if (!offer.done.empty()) out += ' ' + format_indexes(offer.done);
  if (offer.note.number != 0) out += ' ' + format_copy_note(offer.note);
  return out + "\r\n";
}

}  // namespace

bool fits_in_a_line(const CopyOffer& offer) {
  return copy_line(offer, format_names(offer)).size() <= shadow_line_octets_max;
}

bool fits_behind_a_line(const CopyOffer& offer) {
  return format_names(offer).size() <= shadow_names_octets_max;
}

std::string format_copy(const CopyOffer& offer) {
  auto names = format_names(offer);
  auto out = copy_line(offer, names);
  if (out.size() > shadow_line_octets_max) {
    out = copy_line(offer, '+' + std::to_string(names.size()));
    out += names;
  }
  out.reserve(out.size() + offer.envelope.size() + offer.body.size());
  out += offer.envelope;
  if (!offer.streamed) out += offer.body;
  return out;
}

std::string format_hand(const HandOffer& offer) {
  const auto& copy = offer.copy;
  std::string out;
  out.reserve(256 + copy.envelope.size() + copy.body.size());
  out += "XHAND " + to_string(copy.id) + ' ' + std::to_string(copy.generation.value) + ' ' +
         std::to_string(copy.envelope.size()) + ' ' + std::to_string(copy.body_octets) +
         (offer.is_held_there ? " HELD "
          : copy.streamed     ? " STREAM "
                              : " INLINE ") +
         (offer.keep ? "KEEP " : "MOVE ") + std::to_string(offer.number) + "\r\n";
  out += copy.envelope;
  if (!copy.streamed && !offer.is_held_there) out += copy.body;
  return out;
}

}  // namespace umbra::smtp
