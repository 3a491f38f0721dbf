// What another hub said to a question or an order of an operator (hub/peering/questions.h).
#pragma once

#include <string>

namespace umbra::hub {

struct HubAnswer {
  std::string hub;
  unsigned status = 0;  ///< as of HTTP; 0: it did not answer
  std::string body;
  std::string why;  ///< it did not
};

}  // namespace umbra::hub
