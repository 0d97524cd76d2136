#include <eddy/detail/torn_write.hpp>

#include <cerrno>

namespace eddy::detail {

broken_resource broken_by(torn_write why, const std::string& doing) {
    const char* const what = why == torn_write::failed ? "failed" : "was cancelled";
    return broken_resource(doing + ": an earlier write " + what + " half-way");
}

bool is_lost_connection(int error) noexcept {
    switch (error) {
    case EPIPE:
    case ECONNRESET:
    case ECONNABORTED:
    case ENOTCONN:
    case ETIMEDOUT:
    // What routers said (ICMP), when TCP gives up after it.
    case ECONNREFUSED:
    case EHOSTUNREACH:
    case EHOSTDOWN:
    case ENETUNREACH:
    case ENETDOWN:
    case ENETRESET:
    case ENOPROTOOPT:
    case EOPNOTSUPP:
    case EPROTO:
    case EACCES:
#ifdef ENONET
    case ENONET:
#endif
        return true;
    default: return false;
    }
}

} // namespace eddy::detail
