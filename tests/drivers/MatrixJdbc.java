// The JDBC driver in the matrix of logins; matrix_driver.py says what a line in and a line out are. One program for all
// cases, because a JVM takes long to start. The driver of Debian 12 knows no channel binding.

import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.sql.Connection;
import java.sql.DriverManager;
import java.sql.PreparedStatement;
import java.sql.ResultSet;
import java.sql.SQLException;
import java.sql.Statement;
import java.util.ArrayList;
import java.util.List;
import java.util.Properties;

public class MatrixJdbc {
  static final String WHO = "select current_user::text, (40 + 2)::text,"
      + " (select ssl::text from pg_stat_ssl where pid = pg_backend_pid())";

  static Connection connect(String[] one) throws SQLException {
    Properties properties = new Properties();
    properties.setProperty("user", one[3]);
    properties.setProperty("password", one[4]);
    properties.setProperty("loginTimeout", "20");
    properties.setProperty("gssEncMode", "disable");
    properties.setProperty("prepareThreshold", "1"); // named statements from the first use on
    boolean tls = one[5].equals("tls");
    properties.setProperty("sslmode", tls ? "verify-full" : "disable");
    if (tls) properties.setProperty("sslrootcert", System.getenv("MATRIX_CA"));
    if (tls && !one[7].equals("-")) {
      properties.setProperty("sslcert", one[7] + ".crt");
      properties.setProperty("sslkey", one[7] + ".pk8");
    }
    return DriverManager.getConnection("jdbc:postgresql://127.0.0.1:" + one[1] + "/" + one[2], properties);
  }

  static String answer(String[] one) {
    try (Connection connection = connect(one)) {
      List<String> values = new ArrayList<>();
      try (Statement statement = connection.createStatement(); ResultSet row = statement.executeQuery(WHO)) {
        row.next();
        for (int column = 1; column <= 3; ++column) values.add(row.getString(column));
      }
      try (PreparedStatement next = connection.prepareStatement("select (?::int + 1)::text")) {
        for (int number : new int[] {7, 8}) {
          next.setInt(1, number);
          try (ResultSet row = next.executeQuery()) {
            row.next();
            values.add(row.getString(1));
          }
        }
      }
      return "answer\t" + String.join("|", values);
    } catch (SQLException error) {
      String state = error.getSQLState() == null ? "" : error.getSQLState();
      return "error\t" + state + "\t" + String.valueOf(error.getMessage()).replaceAll("\\s+", " ");
    }
  }

  public static void main(String[] arguments) throws Exception {
    BufferedReader input = new BufferedReader(new InputStreamReader(System.in));
    for (String line = input.readLine(); line != null; line = input.readLine()) {
      String[] one = line.split("\t", -1);
      System.out.println(one[0] + "\t" + answer(one));
    }
  }
}
