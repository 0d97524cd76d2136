// A certificate for tests against other programs, made by `openssl`.
#pragma once

#include <stdlib.h>

#include <cstdlib>
#include <filesystem>
#include <string>

namespace interop {

/// A folder with a certificate for localhost that nobody has signed; removed at the end.
class certificate {
public:
    certificate() {
        std::string pattern = (std::filesystem::temp_directory_path() / "eddy-certificate-XXXXXX").string();
        folder_ = ::mkdtemp(pattern.data());
        const std::string command = "openssl req -x509 -newkey rsa:2048 -nodes -days 1 -subj /CN=localhost -addext subjectAltName=DNS:localhost -keyout " +
                                    key() + " -out " + file() + " >/dev/null 2>&1";
        made_ = std::system(command.c_str()) == 0; // NOLINT(concurrency-mt-unsafe)
    }
    ~certificate() { std::filesystem::remove_all(folder_); }
    certificate(const certificate&) = delete;
    certificate& operator=(const certificate&) = delete;
    [[nodiscard]] explicit operator bool() const { return made_; }
    [[nodiscard]] std::string file() const { return folder_ + "/certificate.pem"; }
    [[nodiscard]] std::string key() const { return folder_ + "/key.pem"; }

private:
    std::string folder_;
    bool made_ = false;
};

} // namespace interop
