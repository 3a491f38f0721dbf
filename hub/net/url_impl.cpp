// The one place where Boost.URL is compiled: Debian ships it as headers.
#include <boost/url/src.hpp>
