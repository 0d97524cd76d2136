#include <eddy/redis/script.hpp>

#include <array>
#include <stdexcept>

#include <openssl/evp.h>

namespace eddy::redis {
namespace {

[[nodiscard]] std::string sha1_of(const std::string& text) {
    constexpr std::string_view digits = "0123456789abcdef";
    std::array<unsigned char, EVP_MAX_MD_SIZE> digest{};
    unsigned size = 0;
    if (EVP_Digest(text.data(), text.size(), digest.data(), &size, EVP_sha1(), nullptr) != 1)
        throw std::runtime_error("redis::script: OpenSSL gives no SHA-1 here, by which Redis knows its scripts");
    std::string hex;
    hex.reserve(2 * std::size_t{size});
    for (unsigned i = 0; i < size; ++i) hex.append({digits[digest[i] >> 4], digits[digest[i] & 15]});
    return hex;
}

} // namespace

script::script(std::string source) {
    std::string digest = sha1_of(source);
    body_ = std::make_shared<const body>(body{std::move(source), std::move(digest)});
}

} // namespace eddy::redis
