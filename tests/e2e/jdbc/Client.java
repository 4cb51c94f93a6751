// Reads a statement a line, answers with one line: "ok FIELD,FIELD;…" or "error SQLSTATE TEXT".
// After an error of the connection it connects again by the same URL, for the next statement.

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

public class Client {
    private static final int ATTEMPTS = 20;

    public static void main(String[] arguments) throws Exception {
        BufferedReader input = new BufferedReader(new InputStreamReader(System.in));
        Connection connection = null;
        for (String line = input.readLine(); line != null; line = input.readLine()) {
            String answer;
            try {
                if (connection == null || connection.isClosed()) {
                    connection = connect(arguments[0]);
                }
                answer = "ok " + perform(connection, line);
            } catch (SQLException error) {
                String text = String.valueOf(error.getMessage()).replace('\n', ' ');
                answer = "error " + error.getSQLState() + " " + text;
            }
            System.out.println(answer);
            System.out.flush();
        }
    }

    private static Connection connect(String url) throws Exception {
        SQLException last = null;
        for (int i = 0; i < ATTEMPTS; i++) {
            try {
                return DriverManager.getConnection(url);
            } catch (SQLException error) {
                last = error;
                Thread.sleep(250);
            }
        }
        throw last;
    }

    private static String perform(Connection connection, String line) throws SQLException {
        String[] words = line.split(" ", 2);
        switch (words[0]) {
            case "!tables":
                String[] kinds = {"TABLE"};
                return column(connection.getMetaData().getTables(null, null, words[1], kinds), 3);
            case "!columns":
                return columns(connection.getMetaData().getColumns(null, null, words[1], null));
            case "!prepared":
                String sql = "select role from gp_segment_configuration where registration_order = ?";
                try (PreparedStatement statement = connection.prepareStatement(sql)) {
                    statement.setInt(1, Integer.parseInt(words[1]));
                    return column(statement.executeQuery(), 1);
                }
            default:
                try (Statement statement = connection.createStatement()) {
                    boolean rows = statement.execute(line);
                    return rows ? column(statement.getResultSet(), 1) : "";
                }
        }
    }

    private static String column(ResultSet rows, int number) throws SQLException {
        List<String> found = new ArrayList<>();
        while (rows.next()) {
            found.add(String.valueOf(rows.getString(number)));
        }
        return String.join(",", found);
    }

    private static String columns(ResultSet rows) throws SQLException {
        List<String> found = new ArrayList<>();
        while (rows.next()) {
            String nullable = rows.getString("IS_NULLABLE").toLowerCase();
            found.add(rows.getString("COLUMN_NAME") + ":" + rows.getString("TYPE_NAME") + ":" + nullable);
        }
        return String.join(",", found);
    }
}
