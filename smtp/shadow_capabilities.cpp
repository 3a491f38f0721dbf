#include "smtp/shadow_capabilities.h"

namespace umbra::smtp {

Keywords parse_keywords(std::string_view text) {
  Keywords keywords;
  for (auto line_end = text.find('\n'); line_end != std::string_view::npos; line_end = text.find('\n')) {
    text.remove_prefix(line_end + 1);
    std::string keyword(text.substr(0, text.find_first_of(" \r\n")));
    for (char& c : keyword)
      if (c >= 'a' && c <= 'z') c = static_cast<char>(c - 'a' + 'A');
    if (!keyword.empty()) keywords.insert(std::move(keyword));
  }
  return keywords;
}

}  // namespace umbra::smtp
