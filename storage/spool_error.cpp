#include "storage/spool_error.h"

namespace umbra::storage {
namespace {

class SpoolCategory final : public std::error_category {
 public:
  [[nodiscard]] const char* name() const noexcept override { return "spool"; }
  [[nodiscard]] std::string message(int code) const override {
    return code == static_cast<int>(SpoolFault::damaged) ? "the spool is damaged"
                                                         : "not the spool that was here last";
  }
  [[nodiscard]] std::error_condition default_error_condition(int code) const noexcept override {
    return code == static_cast<int>(SpoolFault::damaged) ? std::errc::io_error : std::errc::not_supported;
  }
};

}  // namespace

std::error_code make_error_code(SpoolFault fault) {
  static const SpoolCategory category;
  return {static_cast<int>(fault), category};
}

}  // namespace umbra::storage
