#include "smtp/dot_framer.h"

namespace umbra::smtp {

void DotFramer::feed(std::string_view& input, std::string& out) {
  std::size_t at = 0;
  while (at < input.size() && place_ != Place::ended) {
    const char octet = input[at];
    switch (place_) {
      case Place::line_start:
        place_ = Place::in_line;
        if (octet != '.') break;
        place_ = Place::dot;
        ++at;
        break;
      case Place::dot:
        place_ = Place::in_line;
        if (octet != '\r') break;
        place_ = Place::dot_cr;  // the CR is part of the end, or of the message
        ++at;
        break;
      case Place::dot_cr:
        if (octet == '\n') {
          place_ = Place::ended;
          ++at;
        } else {
          out.push_back('\r');
          place_ = Place::cr;  // looks at this octet
        }
        break;
      case Place::in_line: {
        const auto cr = input.find('\r', at);
        const auto stop = cr == std::string_view::npos ? input.size() : cr + 1;
        out.append(input.substr(at, stop - at));
        if (cr != std::string_view::npos) place_ = Place::cr;
        at = stop;
        break;
      }
      case Place::cr:
        out.push_back(octet);
        if (octet == '\n')
          place_ = Place::line_start;
        else if (octet != '\r')
          place_ = Place::in_line;
        ++at;
        break;
      case Place::ended:
        break;
    }
  }
  input.remove_prefix(at);
}

}  // namespace umbra::smtp
